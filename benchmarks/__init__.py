"""Accuracy and speed, measured; nothing here is imported by prunekit."""
