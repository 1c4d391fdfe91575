"""The run directory: its files, their formats, resuming, reuse. Its one owner."""
