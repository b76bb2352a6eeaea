"""Extraction: a page in, its text out. Imports core and responses; crawl.config for files that are named by address.

page            the cascade from bytes to text; what else is here serves it
parsing         HTML to a tree in which all that only a browser turns into text is text: formulas (mathematics), notes,
                glosses and edit links (marks), code (code_lines), kept line breaks (white_space); survey finds them
metadata        title, author, language; what the page states for machines; licenses: the license that it names, and
                license_names: how that is called
blocks          the tree to blocks; block_text sets their text; vocabulary has the tags and words that count
classifier      which blocks are the main text, from features (made of facts), by trees; page_type: which kind of page
whole_texts     headers of kept tables and the like, which the classifier's choice leaves half
script_data     the text of pages that keep it in their scripts
read_mode       the ways after the blocks
inputs          local files and standard input; archives: WARC and ARC files; workers: the processes for all this
file_kinds      which reader reads which kind of file: office, pdf, markup, tex, tables, parquet, mail; all use reading
long_texts      where a book is divided; wrapped_lines: its lines of a fixed width become paragraphs
fit_blocks      fits blocks.json, the classifier's coefficients, with fit_alignment and fit_trees
"""
