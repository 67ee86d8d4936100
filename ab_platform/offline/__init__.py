"""The offline comparison: arms trained and scored on one split of the users, and what differs between them."""
