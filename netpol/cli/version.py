"""Which netpol this is."""

from __future__ import annotations


def installed_version() -> str | None:
    """The version of the installed distribution; None where netpol runs from a source tree that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("netpol-learn")
    except PackageNotFoundError:
        return None
