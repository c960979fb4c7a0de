"""Pictures that the project draws itself: scenes of plain objects, with the captions that are true of them."""
