"""How a classifier is trained: views, trunk, the loop, and whole runs."""
