"""Every file that a report reads, checked."""
