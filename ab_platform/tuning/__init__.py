"""Settings of an arm, tried on validation users: all that a grid combines, or what a search learns to look for."""
