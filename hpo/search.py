"""Tune DIFC's margin cap and ε for a target without labels: `python hpo/search.py --target fer2013`."""

from pa_difc.tuning.search import main

if __name__ == "__main__":
    main()
