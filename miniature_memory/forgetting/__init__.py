"""Forgetting: documents, addresses and hosts are taken back: run.py --forget and --purge.

Imports core, storage, crawl.urls, crawl.seeds, crawl.handover, cleaning.minhash and counting.suffixes.

Where is ...?
    targets.py   what a person names, and what they may have meant
    forget.py    out of everything that is used, in one transaction
    purge.py     off the disk: raw and pages are written again
    command.py   what run.py does with all that, and prints
What was forgotten is known to storage/forgotten.py; files are rewritten by storage/rewriting.py.
"""
