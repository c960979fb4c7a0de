"""The one exception that a user sees."""


class UserError(Exception):
    """A mistake or a lack on the user's side: the message names the thing, the value and the remedy; commands exit
    with 2."""
