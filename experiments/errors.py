"""The error that a user can mend."""


class UserError(Exception):
    """A user's mistake: its message names the thing, the value and the remedy; the commands exit with 2."""
