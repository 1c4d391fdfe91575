"""Methods of certification and prediction, one a file."""
