"""What the guide that Holdfast grew from expects: its layout of files."""
