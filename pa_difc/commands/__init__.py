"""The commands of ``pa-difc``; each module has ``EXAMPLES``, ``arguments(parser)`` and ``run(parsed)``."""
