"""Methods × losses under label shift: `python recipes/label_shift.py --features frozen --methods source_only dann`."""

from pa_difc import run_script

if __name__ == "__main__":
    run_script("shift")
