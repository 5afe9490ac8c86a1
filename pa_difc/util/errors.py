"""The errors that a user can mend: the commands print them as one line and exit with 2."""


class UserError(ValueError):
    """Something outside the program is not as it should be; the message says what, and what would be right."""


class DivergedError(UserError):
    """Training produced a loss that is not finite."""


class DiskError(UserError):
    """The disk or the system failed, not the file: nothing is said of the file, and the same command may go on."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C during training, after which the run can be resumed."""
