"""What comes out: a report, a plan, a file."""
