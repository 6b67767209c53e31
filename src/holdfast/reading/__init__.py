"""Read what was saved. Reading never writes to a session and never blocks its writer."""
