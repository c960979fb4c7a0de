"""What the project draws itself: scenes of plain objects, and what can truly be said of them."""
