"""Tables of what is refused; tests/test_refusals.py tries it all."""
