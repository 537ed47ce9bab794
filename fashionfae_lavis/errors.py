"""The error that the programs show as one line."""

from collections.abc import Sequence

LONGEST = 1000  # characters of a message; it may quote a value or a name of any length


class UserError(Exception):
    """A mistake that the user can correct. The message is one sentence that says how, in one line.

    Attributes:
        options: options that mend the command of `fashionfae` if they are added to it.
    """

    def __init__(self, message: str, options: Sequence[str] = ()):
        self.options = list(options)
        # A DataLoader re-raises the error of a worker process with a stack trace in front of the message.
        sentence = " ".join(message.rpartition(f"{__name__}.UserError: ")[2].strip().splitlines())
        if len(sentence) > LONGEST:
            sentence = f"{sentence[: LONGEST // 2]} ... {sentence[-LONGEST // 2 :]}"
        super().__init__(sentence)
