"""Errors that apps print as one line: invalid input (status 2), failed training (status 1)."""


class InputError(ValueError):
    """Invalid input; the message says what was expected, what was given, what to do."""

    # Code that autograph traces raises an error of the same kind only if this is its constructor.
    __init__ = Exception.__init__


class TrainingDivergedError(RuntimeError):
    """The loss or a weight is not finite."""


class WorkerLostError(RuntimeError):
    """Another machine of a training no longer answers."""
