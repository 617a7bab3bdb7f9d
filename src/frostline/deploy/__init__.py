"""A classifier made ready for use elsewhere: exported with proof, and served."""
