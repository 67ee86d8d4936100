"""How long the dashboard takes until it shows its figures, in a real browser, over a store of many users."""
