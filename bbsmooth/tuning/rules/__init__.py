"""Update rules and gain sequences."""
