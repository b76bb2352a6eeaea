"""Training: tokenizer, bins, the loop and its checkpoints. Imports core, storage and model.py."""
