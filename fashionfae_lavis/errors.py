"""The error that the programs show as one line."""


class UserError(Exception):
    """A mistake that the user can correct. The message is one sentence that says how."""

    def __init__(self, message: str):
        # A DataLoader re-raises the error of a worker process with a stack trace in front of the message.
        super().__init__(message.rpartition(f"{__name__}.UserError: ")[2].strip())
