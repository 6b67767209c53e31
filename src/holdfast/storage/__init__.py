"""Bytes that survive a crash: files, lines, segments, recovery, the log and its lock."""
