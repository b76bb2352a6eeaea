"""Extraction: a page in, its text out. Imports core and responses.

page            the cascade from bytes to text; what else is here serves it
parsing         HTML to a tree
metadata        title, author, language; what the page states for machines
blocks          the tree to blocks; block_text sets their text; vocabulary has the tags and words that count
classifier      which blocks are the main text, from features (made of facts), by trees; page_type: which kind of page
script_data     the text of pages that keep it in their scripts
read_mode       the ways after the blocks
inputs          WARC files, local files and standard input; workers: the processes that all this runs in
fit_blocks      fits blocks.json, the classifier's coefficients, with fit_alignment and fit_trees
"""
