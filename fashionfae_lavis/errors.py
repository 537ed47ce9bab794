"""The error shown to the user as one line."""


class UserError(Exception):
    """A mistake the user can mend; the message is one sentence that says how."""
