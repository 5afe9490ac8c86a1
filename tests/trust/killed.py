"""``killed.py N COMMAND …``: a command that is killed just before its N-th change to a folder (a file written out,
put in its place, or removed). Says at the end how many there were, if it was not."""

import os
import pathlib
import signal
import sys

OPERATIONS = ("fsync", "replace", "unlink", "rmdir", "mkdir")


def kill_before(number):
    """From now on this process is killed before its ``number``-th operation; returns a counter of them."""
    done = [0]

    def counted(operation):
        def wrapper(*args, **kwargs):
            done[0] += 1
            if done[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return operation(*args, **kwargs)

        return wrapper

    for name in OPERATIONS:
        wrapper = counted(getattr(os, name))
        setattr(os, name, wrapper)
        if hasattr(pathlib, "_normal_accessor"):  # Python 3.10 keeps the functions that it found when it was imported
            setattr(pathlib._normal_accessor, name, wrapper)
    return done


if __name__ == "__main__":
    import shutil  # noqa: F401  looks at os.unlink and os.rmdir as they are when it is imported

    from pa_difc.commands.console import exit_with as run_command
    from pa_difc.commands.parser import main

    counter = kill_before(int(sys.argv[1]))
    arguments = sys.argv[2:]
    sys.argv = ["pa-difc", *arguments]
    try:
        run_command(lambda: main(arguments))
    finally:
        print(f"{counter[0]} operations", file=sys.stderr)
