"""The exceptions whose message is all that a user has to see."""


class UserError(Exception):
    """Something that the user must mend. The message names the thing, the value and the remedy.

    Commands print the message alone, without a traceback, and exit with its `code`.
    """

    code = 2


class RunFailed(UserError):
    """A run that could not go on, though nothing was wrong with what was asked. What is done is kept."""

    code = 1
