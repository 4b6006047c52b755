"""What DVC needs of a study: its plan, its pipeline, the locks, holes in a remote, and one run by name."""
