"""From what a program announces to records in its log."""
