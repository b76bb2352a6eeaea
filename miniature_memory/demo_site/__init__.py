"""Demo site: the web of the demonstration. Imports core, and storage.files for its configuration."""
