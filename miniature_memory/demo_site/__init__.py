"""Demo site: the web of the demonstration. Imports core."""
