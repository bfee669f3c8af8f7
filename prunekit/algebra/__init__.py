"""One layer in numbers: moments, least squares, what a method is asked and what it answers."""
