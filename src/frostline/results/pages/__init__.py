"""Pages that people look at: the report of a run, the check of a dataset, the model card."""
