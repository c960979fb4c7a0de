"""The exception for mistakes of the user."""


class UserError(Exception):
    """Something that the user must mend. The message names the thing, the value and the remedy.

    Commands print the message alone, without a traceback, and exit with code 2.
    """
