"""Errors that apps print as one line: invalid input (status 2), work that stops (status 1)."""


class InputError(ValueError):
    """Invalid input; the message says what was expected, what was given, what to do."""

    # Code that autograph traces raises an error of the same kind only if this is its constructor.
    __init__ = Exception.__init__


class StoppedError(RuntimeError):
    """The work cannot go on; what was finished before is kept."""


class TrainingDivergedError(StoppedError):
    """The loss or a weight is not finite."""


class WorkerLostError(StoppedError):
    """Another machine of a training no longer answers."""


class StopRequested(BaseException):
    """The process was asked to stop (SIGTERM); the message says what is kept.

    As KeyboardInterrupt, it is no error, so that nothing that handles errors keeps it.
    """
