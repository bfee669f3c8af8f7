"""Any network, behind one door: where it can be cut, what its layers take, what it costs."""
