"""What came out: predictions, figures and pictures. Nothing here needs torch or a model."""
