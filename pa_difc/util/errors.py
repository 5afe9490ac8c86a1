"""The errors that a user can mend: the commands print them as one line and exit with 2."""

#: How libraries say that the system gave them no memory, or no thread.
_NO_MEMORY = (
    *("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc"),
    *("can't start new thread", "failed to map segment"),
)


class UserError(ValueError):
    """Something outside the program is not as it should be; the message says what, and what would be right."""


class DivergedError(UserError):
    """Training produced a loss that is not finite."""


class DiskError(UserError):
    """The disk or the system failed, not the file: nothing is reported of the file, and the same command may go on."""


def is_of_memory(error: BaseException) -> bool:
    """Whether an error is about too little memory, whatever its type: the user can give more, or ask for less."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


class Stopped(KeyboardInterrupt):
    """Ctrl-C during training, after which the run can be resumed."""
