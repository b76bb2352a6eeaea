"""miniature_memory: what the scripts at the root are made of, a room for each concern."""
