"""Named runs: their stages, their parameters, and where they are found."""
