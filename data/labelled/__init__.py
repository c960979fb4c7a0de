"""Training, validation and test parts, labelled subsets, and captions and word vectors as numbers."""
