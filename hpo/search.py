"""Tune DIFC's margin cap and ε for a target without labels: `python hpo/search.py --target fer2013`.

The search space is in spaces.py beside this file.
"""

from pa_difc import run_script

if __name__ == "__main__":
    run_script("search")
