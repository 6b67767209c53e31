"""The kinds of documents that are known: a file a family."""
