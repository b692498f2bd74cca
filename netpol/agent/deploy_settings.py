"""What `netpol deploy` can be told, and the names that the manifests share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from netpol.agent.hub.place import SERVICE
from netpol.errors import UsageError
from netpol.model.inventory import SYSTEM_NAMESPACES
from netpol.model.labels import is_dns_label, is_dns_subdomain
from netpol.model.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

AGENT, HUB = "netpol-agent", SERVICE
HUB_TLS, HUB_CA = "netpol-hub-tls", "netpol-hub-ca"
"""The Secret (tls.crt, tls.key) that only the hub mounts, and the ConfigMap (ca.crt) by which agents know the hub."""
HUB_USER: Final = 65532
"""Owner of the hub's process and files: any that is not root and belongs to nobody on a node."""

NOT_OURS: Final = SYSTEM_NAMESPACES | {"default"}
"""Namespaces whose labels are not netpol's to set."""

_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/@-]{0,511}")
_DURATION = re.compile(r"[1-9][0-9]{0,8}[smhdw]")
_INTERFACE = re.compile(r"(?!-)[!-.0-~]{1,64}")
_SIZE = re.compile(r"[1-9][0-9]{0,5}(Ki|Mi|Gi|Ti)")
_UNITS: Final = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


class Tls(StrEnum):
    """Where the hub's certificate comes from."""

    SECRET = "secret"  # noqa: S105 - the word of the command line
    """It is in the cluster already: printed are only references to it."""
    NEW = "new"
    """One is made, and printed with its private key."""
    CERT_MANAGER = "cert-manager"
    """cert-manager makes it, and a new one before it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifests say.

    Attributes:
        image: For both the agents and the hub.
        duration: After which agents stop by themselves, like `168h`; empty: never.
        run: Tells one recording from an earlier one in the same namespace; may be empty.
        interfaces: Names and patterns that agents record on; none: all.
        spool: Size of what an agent keeps on its node while the hub is away, like `1Gi`.
        storage: Size of the hub's volume.
        storage_class: Of the volume, empty for the cluster's own choice.
        retention: How long the hub keeps anything, like `90d`.
        tls: Where the hub's certificate comes from.

    Raises:
        UsageError: A value cannot stand in a manifest.
    """

    image: str
    namespace: str = "netpol"
    duration: str = "168h"
    run: str = ""
    interfaces: tuple[str, ...] = ()
    spool: str = "1Gi"
    storage: str = "20Gi"
    storage_class: str = ""
    retention: str = "90d"
    tls: Tls = Tls.SECRET
    labels: Mapping[str, str] = field(default_factory=lambda: {"app.kubernetes.io/part-of": "netpol"})

    def __post_init__(self) -> None:
        if not is_dns_label(self.namespace):
            raise _wrong("--namespace", self.namespace, "Use lower-case letters, digits and '-', at most 63")
        if self.namespace in NOT_OURS:
            raise _wrong("--namespace", self.namespace, "Name one of its own: its labels are set")
        if self.run and not is_dns_label(self.run):
            raise _wrong("--run", self.run, "Use lower-case letters, digits and '-', at most 63")
        if self.storage_class and not is_dns_subdomain(self.storage_class):
            raise _wrong("--storage-class", self.storage_class, "Name one that `kubectl get storageclass` lists")
        texts = (
            ("--image", _IMAGE, (self.image,), "Name one like registry.example.com/netpol:0.1.0"),
            ("--duration", _DURATION, (self.duration or "1s",), "Write a number with s, m, h, d or w, like 168h"),
            ("--retention", _DURATION, (self.retention,), "Write a number with s, m, h, d or w, like 90d"),
            ("--interfaces", _INTERFACE, self.interfaces, "Name interfaces as `ip link` does"),
            ("--spool", _SIZE, (self.spool,), "Write a whole number with Ki, Mi, Gi or Ti, like 1Gi"),
            ("--storage", _SIZE, (self.storage,), "Write a whole number with Ki, Mi, Gi or Ti, like 20Gi"),
        )
        for option, pattern, found, remedy in texts:
            for text in found:
                if not pattern.fullmatch(text):
                    raise _wrong(option, text, remedy)

    @property
    def dataset_bytes(self) -> int:
        """What the dataset may fill of the volume: the rest is for the inbox, and for what is put together."""
        return int(self.storage[:-2]) * _UNITS[self.storage[-2:]] * 4 // 5

    @property
    def everywhere(self) -> str:
        """The end of names that have no namespace: two deployments in one cluster do not share them."""
        return f"-{self.namespace}"

    def metadata(self, name: str, component: str, *, namespaced: bool = True) -> dict[str, Any]:
        """Name, namespace and labels of an object.

        Args:
            name: Of the object.
            component: What it belongs to.
            namespaced: Whether it has a namespace.
        """
        place = {"namespace": self.namespace} if namespaced else {}
        return {"name": name, **place, "labels": {**self.labels, **selecting(component)}}


def selecting(component: str) -> dict[str, str]:
    """The one label by which the pods of a component are selected; it never changes."""
    return {"app.kubernetes.io/name": component}


def _wrong(option: str, text: str, remedy: str) -> UsageError:
    return UsageError(f"{option} cannot be {shown(text)}", remedy=remedy)
