"""miniature_memory: what the scripts in the project's folder are made of, one package per concern."""
