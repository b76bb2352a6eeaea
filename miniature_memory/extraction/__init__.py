"""Extraction: a page in, its text out. Imports core and responses.

page            the cascade from bytes to text; what else is here serves it
parsing         HTML to a tree
metadata        title, author, language; what the page states for machines
blocks          the tree to blocks; block_text sets their text; vocabulary has the tags and words that count
classifier      which blocks are the main text, from features (made of facts), by trees; page_type: which kind of page
script_data     the text of pages that keep it in their scripts
read_mode       the ways after the blocks
inputs          local files and standard input; archives has WARC files; workers: the processes that all this runs in
file_kinds      which reader reads which kind of file: office, pdf, markup, tex, tables, mail; reading is under them all
fit_blocks      fits blocks.json, the classifier's coefficients, with fit_alignment and fit_trees
"""
