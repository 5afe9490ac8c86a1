"""Errors that the user can mend: commands print them on one line and exit with 2."""

#: Words in libraries' errors when the system gave them no memory, or no thread.
_NO_MEMORY = (
    *("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc"),
    *("can't start new thread", "failed to map segment"),
)


class ModelWarning(UserWarning):
    """Something about a model that its user should know; commands show it on one line."""


class UserError(ValueError):
    """A problem outside the program; the message says what is wrong, and what would be right."""


class DivergedError(UserError):
    """Training produced a loss that is not finite."""


class DiskError(UserError):
    """The disk or the system failed, which says nothing about the file; the same command may work later."""


def in_words(error: BaseException) -> str:
    """An error in one line; one that is not meant for users has its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


def is_of_memory(error: BaseException) -> bool:
    """Whether an error of any type is about too little memory, which the user can mend."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


class LateError(Exception):
    """The time for training is over; the run can be resumed."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or a signal like it, during work that can be resumed.

    Args:
        what: what is done so far.
        hint: how to resume; empty if it was printed already.
    """

    def __init__(self, what: str = "", hint: str = "Resume with the same command.") -> None:
        super().__init__(what)
        self.hint = hint
