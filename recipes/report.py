"""One self-contained page from the records of a grid: `python recipes/report.py runs/demo`."""

import sys

from pa_difc.__main__ import main
from pa_difc.cli import run_command

if __name__ == "__main__":
    run_command(lambda: main(["report", *sys.argv[1:]]))
