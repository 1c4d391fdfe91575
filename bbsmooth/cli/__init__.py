"""The command line: parse, run, print. No mathematics.

Commands import what they run inside their functions: torch takes seconds, and `--help` should not.
"""
