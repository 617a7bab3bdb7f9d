"""The datasets that frostline knows by name: where each is found, downloaded from, and how it is read."""
