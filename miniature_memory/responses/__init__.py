"""Responses: what an HTTP response says, whether it was fetched or comes from someone's archive. Imports core.

charset         which encoding a page is in
"""
