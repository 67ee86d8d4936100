"""How fast an experiment is analysed as users grow, side by side with peers and with a bare scan of the same files."""
