"""The one exception that `data` raises for what its user can put right."""


class DataError(Exception):
    """A mistake or a lack on the user's side; its text names the thing, the value and the remedy."""
