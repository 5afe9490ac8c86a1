"""One self-contained page from the records of a grid: `python recipes/report.py runs/demo`."""

from pa_difc import run_script

if __name__ == "__main__":
    run_script("report")
