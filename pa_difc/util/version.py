"""The package's version, which must equal the one in pyproject.toml."""

VERSION = "0.4.0"
