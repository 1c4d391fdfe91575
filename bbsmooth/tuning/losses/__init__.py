"""Losses of answers that a tuning minimises."""
