"""The HTTP service of `frostline serve`: pictures in, predictions out, and a page to drop pictures on."""
