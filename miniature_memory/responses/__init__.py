"""Responses: what an HTTP response says, whether it was fetched or comes from someone's archive. Imports core.

media_type      what kind of document it is
coding          how it is packed
charset         which encoding a page is in; detector: by its letters, where nothing says so
signals         what a page asks of robots, and where it sends its readers
"""
