"""Collection: what was collected, for people: full-text search, and a page for each document. Imports core and
storage; also cleaning.explain and cleaning.config, because a document's page says what became of it.

Where is ...?
    query.py      what people type, as FTS5 reads it
    search.py     the best documents for a query
    passages.py   the passage of each that shows best why it was found
    pages.py      the playground's pages /collection; collection.html: what they have in common
The index itself is storage/full_text.py.
"""
