"""Learners from answers: descent on estimates, surrogates, and their combinations."""
