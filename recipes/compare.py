"""Compare methods × losses × seeds: `python recipes/compare.py --methods dann mcd --losses ce difc`."""

from pa_difc import run_script

if __name__ == "__main__":
    run_script("compare")
