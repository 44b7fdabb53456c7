"""The error of a caller's input: apps print it as one line and exit with status 2."""


class InputError(ValueError):
    """Input that cannot be used; the message says what was expected, what came, what to do."""
