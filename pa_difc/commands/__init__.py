"""The commands of ``python -m pa_difc``; each module has ``ABOUT``, ``arguments(parser)`` and ``run(parsed)``."""
