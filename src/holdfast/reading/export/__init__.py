"""Exports for other programs: rows of SQL, cut in pieces, written by several at once, and put together."""
