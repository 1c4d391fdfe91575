"""Verification that what a run says follows from what it recorded: bounds, sums, hashes. No query is spent.

Each check yields one line for everything that is wrong. That nothing is wrong shows that the files agree with each
other and with the hashes taken when the run ended; it does not show who wrote them.
"""
