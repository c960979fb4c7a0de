"""The one exception of this package that a user sees."""


class UserError(Exception):
    """A mistake in the files or options of a report. The message names the thing, its value and the remedy."""
