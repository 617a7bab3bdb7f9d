"""Pictures in: sources, splits, decoding. Nothing here needs torch."""
