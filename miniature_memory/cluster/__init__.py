"""Cluster: from pages to bins on many cores or machines, with datatrove's executors. Imports core, storage,
extraction, validation, cleaning and training.

job             what is to be done: the inputs in order, divided into tasks; where each stage keeps its files
sources         inputs from folders, S3 and whatever fsspec reads
records         sorted arrays on disk, of which a task reads its own part
reading         stage read: pages to raw documents, validated
order           stages same, sites, keys and decide: what depends on earlier documents
cleaning        stages clean and write
tokens          stages learn, encode and join: tokenizer and bins
stages          the table of them all
task            one task, in a process of its own
executors       datatrove's executors: local, Slurm, Ray
driver          one stage after the other; what failed, and what came of it
"""
