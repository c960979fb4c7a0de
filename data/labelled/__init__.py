"""Training, validation and test parts, labelled subsets, and captions as numbers."""
