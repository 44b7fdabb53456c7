"""Errors that apps print as one line: of a caller's input (status 2), of a training (status 1)."""


class InputError(ValueError):
    """Input that cannot be used; the message says what was expected, what came, what to do."""


class TrainingDivergedError(RuntimeError):
    """The loss or a weight is not finite."""


class WorkerLostError(RuntimeError):
    """Another machine of a training no longer answers."""
