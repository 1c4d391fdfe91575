"""One image on its way to a verdict: what it asks next, and what its votes prove."""
