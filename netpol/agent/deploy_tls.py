"""The hub's certificate: there already, made anew on demand, or by cert-manager.

A new one is made only when it is asked for: it is the one thing in the manifests that is not the same in every run, and
it holds a private key, whose place is the cluster and no file. The hub reads its certificate again when the kubelet
brings another, so that either way of renewing it restarts nothing.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from netpol.agent.deploy_settings import HUB, HUB_CA, HUB_TLS, Settings, Tls

if TYPE_CHECKING:
    from netpol.dialects.block import Document

_GROUP: Final = "cert-manager.io"
_AUTHORITY, _BOOTSTRAP, AGENT_TRUST = "netpol-ca", "netpol-bootstrap", "netpol-agent-trust"
_YEARS, _MONTHS = "87600h", "2160h"


def names(settings: Settings) -> list[str]:
    """By which the hub is reached: the Service's, and the local one of a port-forward."""
    service = f"{HUB}.{settings.namespace}"
    return [HUB, service, f"{service}.svc", f"{service}.svc.cluster.local", "localhost"]


def tls(settings: Settings) -> list[Document]:
    """The objects that give the hub its certificate and agents the authority; none where they are there already."""
    if settings.tls is Tls.NEW:
        return _new(settings)
    return _cert_manager(settings) if settings.tls is Tls.CERT_MANAGER else []


def trust_volume(settings: Settings) -> Document:
    """What agents mount: the authority's certificate as `ca.crt`, and no key of the hub's."""
    if settings.tls is Tls.CERT_MANAGER:
        return {"secret": {"secretName": AGENT_TRUST, "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    return {"configMap": {"name": HUB_CA}}


def _new(settings: Settings) -> list[Document]:
    from netpol.agent.deploy_certificate import make  # noqa: PLC0415 - its library is heavy, and few runs need it

    made = make(names(settings), datetime.now(UTC))
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": settings.metadata(HUB_TLS, HUB),
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": b64encode(made.certificate).decode(), "tls.key": b64encode(made.key).decode()},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": settings.metadata(HUB_CA, HUB),
            "data": {"ca.crt": made.authority.decode()},
        },
    ]


def _cert_manager(settings: Settings) -> list[Document]:
    """An authority of the namespace's own, the hub's certificate, and one of no use but for the `ca.crt` beside it.

    A Secret that agents mount can be read on every node: the hub's own must not be the one that they mount.
    """
    server = {"dnsNames": names(settings), "usages": ["digital signature", "server auth"]}
    client = {"commonName": AGENT_TRUST, "usages": ["digital signature", "client auth"]}
    return [
        _issuer(settings, _BOOTSTRAP, {"selfSigned": {}}),
        _certificate(settings, _AUTHORITY, _BOOTSTRAP, _YEARS, {"commonName": _AUTHORITY, "isCA": True}),
        _issuer(settings, _AUTHORITY, {"ca": {"secretName": _AUTHORITY}}),
        _certificate(settings, HUB_TLS, _AUTHORITY, _MONTHS, server),
        _certificate(settings, AGENT_TRUST, _AUTHORITY, _YEARS, client),
    ]


def _issuer(settings: Settings, name: str, spec: Document) -> Document:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Issuer",
        "metadata": settings.metadata(name, HUB),
        "spec": spec,
    }


def _certificate(settings: Settings, name: str, issuer: str, duration: str, what: dict[str, Any]) -> Document:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Certificate",
        "metadata": settings.metadata(name, HUB),
        "spec": {
            "secretName": name,
            "duration": duration,
            **what,
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "issuerRef": {"name": issuer, "kind": "Issuer", "group": _GROUP},
        },
    }
