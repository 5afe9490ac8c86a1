"""The versions of installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version(name: str) -> str | None:
    """The version of a package, or None if it is not installed (or runs from a checkout that was not installed)."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
