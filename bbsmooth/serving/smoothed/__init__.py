"""The smoothed classifier as a service: a certificate for every image, within budgets, at a pace that it can bear."""
