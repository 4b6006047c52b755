"""A trained model to take away: load a run, predict images of the user's own, and show what it looks at."""
