"""The records in the files of a run directory: their fields, types and ranges.

Each is what `json` reads, a dict, whose fields a type checker knows and `bbsmooth.runs.decoding` has checked. Fields
that are not named here, as a later version may write, stay where they are when a record is written again.
"""
