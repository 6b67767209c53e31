"""The index of tokens: distinct texts, where each of them stands, and the columns that filters ask. It can be deleted."""
