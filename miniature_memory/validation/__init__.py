"""Validation: what a raw document and a whole dataset must be. Imports core and storage; also training.tokenizer
and training.config, because an audit checks the token ids of the bins.

Where is ...?
    documents.py      what one raw document must be to be kept
    audit.py          the walk through the whole dataset, file by file and record by record
    checksums.py      which bytes of a file are proven by a checksum
    contents.py       what is wrong with one clean document or one page
    consistency.py    whether tokenizer, bins and cursors agree with the catalog; whether index and checkpoints are
                      whole
    repairs.py        what can be done about a problem
    statistics.py     what the dataset consists of
"""
