"""Attacks on the smoothed classifier: what somebody finds, beside what is proven that nobody can."""
