"""The error that the programs show as one line."""


class UserError(Exception):
    """A mistake that the user can correct. The message is one sentence that says how."""
