"""One run, over all its attempts: opening, checkpoints, resume, closing."""
