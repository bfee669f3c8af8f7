"""What the published pages are made of; nothing here is imported by prunekit."""
