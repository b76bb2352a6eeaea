"""Cleaning: which documents are kept, and with what text. Imports core and storage; also validation.config and
validation.documents, because a rebuild validates documents again.

Where is ...?
    cleaner.py        one document through all steps
    normalize.py      Unicode, white space, and the encodings of older datasets
    notices.py        lines in which a site speaks about itself
    boilerplate.py    these, and lines that recur on the pages of a site
    config.py         the settings, and the thresholds of each preset
    filters.py        the quality rules
    measures.py       what they measure; words.py, sentences.py and ngrams.py count for it
    privacy.py        masks for personal data; phone_numbers.py finds the telephone numbers
    topic.py          what is known of a root's topic, and who is off it
    minhash.py        exact and near duplicates
    rebuild.py        clean.py --rebuild; explain.py and histograms.py: the options of these names
"""
