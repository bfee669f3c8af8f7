"""Grading a folder of notebooks, each shut in and put to checks on fresh data; see `grader`."""
