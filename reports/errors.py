"""The one exception of this package that a user sees."""


class UserError(Exception):
    """A mistake in what the report was given: the message names the thing, the value and the remedy."""
