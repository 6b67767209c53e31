"""The 21 tools: one file a tool or a few close ones. registry.py lists them."""
