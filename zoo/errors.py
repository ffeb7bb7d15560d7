"""The one error a user may see: a line that says what is wrong and what would mend it."""


class UserError(Exception):
    """Bad input. Commands print it as one line on stderr and exit with code 2."""
