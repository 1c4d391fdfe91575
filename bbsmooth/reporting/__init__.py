"""Findings of runs as pages, figures, tables and text.

One data model (`model`), made from the files of a run (`single`) or of several (`comparison`), and one file for each
form that it takes: `page` (HTML), `paper` (PNG and SVG with matplotlib), `tex` (tables for a paper), `exports`
(Markdown, tab-separated, JSON), `terminal` and `text`. Statistics are computed where the model is made, and `scope`
says of what a run can speak. No form computes any.
"""
