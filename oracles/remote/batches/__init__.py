"""Batch interfaces of vendors: many questions in one job, answered within hours at a lower price."""
