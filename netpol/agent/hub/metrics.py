"""Counts for Prometheus: sums over all nodes, which anybody may read. What a node did stands in the status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """What is counted while the hub runs; all begin at 0 with the process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when the process began is told by whoever runs it
        self._registry = CollectorRegistry()
        self.windows = Counter(
            "netpol_hub_windows", "Windows taken, by whether they were new", ["new"], registry=self._registry
        )
        self.bytes = Counter("netpol_hub_window_bytes", "Bytes of new windows", registry=self._registry)
        self.refused = Counter(
            "netpol_hub_refused",
            "Requests refused, by status and reason",
            ["status", "reason"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "netpol_hub_store_seconds",
            "From the last byte of a window to its acknowledgement",
            registry=self._registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
        )
        self.files = Counter("netpol_hub_files_read", "Files given to readers", registry=self._registry)
        self.moved = Counter("netpol_hub_windows_kept", "Windows that went into the dataset", registry=self._registry)
        self.unreadable = Counter(
            "netpol_hub_windows_set_aside", "Windows that could no longer be read", registry=self._registry
        )
        self.failures = Counter(
            "netpol_hub_keeper_failures", "Failures of the work on the dataset", ["work"], registry=self._registry
        )
        for new in ("true", "false"):
            self.windows.labels(new)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Adds a value that is looked up whenever somebody asks."""
        Gauge(f"netpol_hub_{name}", what, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)
