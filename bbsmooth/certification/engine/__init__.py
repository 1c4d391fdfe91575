"""Many images: which draws are asked for next, within the budget."""
