"""Memory-mapped uint8 images with their labels or captions: made once, read by every trial."""
