"""What others saved, brought into sessions: folders of the KIRA engine, and anybody's line files (docs/importing.md)."""
