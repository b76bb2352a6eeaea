"""Core: the stage contract, configuration, errors, the process. Imports the standard library, tqdm and ftfy alone."""
