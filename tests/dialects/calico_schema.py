"""The fields of projectcalico.org/v3 NetworkPolicy that netpol uses, and what Calico's validator adds to them.

Written from the custom resource's definition and the reference of the resource; anything not listed is refused.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Any

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PORT = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_PROTOCOLS = {"TCP", "UDP", "SCTP", "ICMP", "ICMPv6"}
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*")


def problems(document: dict[str, Any], *, domains: bool = False) -> list[str]:
    """What Calico would refuse, empty where it would accept it.

    Args:
        document: Parsed YAML.
        domains: Whether it is for an edition that knows domains.
    """
    found = _unknown(document, {"apiVersion", "kind", "metadata", "spec"}, "")
    if (document["apiVersion"], document["kind"]) != ("projectcalico.org/v3", "NetworkPolicy"):
        found.append("not a NetworkPolicy of Calico")
    found += _unknown(document["metadata"], {"name", "namespace", "labels", "annotations"}, "metadata")
    if not _NAME.fullmatch(document["metadata"]["name"]):
        found.append("metadata.name")
    spec = document["spec"]
    found += _unknown(spec, {"selector", "types", "ingress", "egress"}, "spec")
    if not spec["types"] or not set(spec["types"]) <= {"Ingress", "Egress"}:
        found.append("spec.types")
    for way, side in (("ingress", "source"), ("egress", "destination")):
        if way in spec and way.title() not in spec["types"]:
            found.append(f"spec.{way} without its type")
        for index, rule in enumerate(spec.get(way, [])):
            found += [f"spec.{way}[{index}]: {text}" for text in _rule(rule, side, domains=domains)]
    return found


def _rule(rule: dict[str, Any], side: str, *, domains: bool) -> list[str]:
    found = _unknown(rule, {"action", "protocol", "icmp", "source", "destination"}, "")
    if rule["action"] != "Allow" or rule.get("protocol", "TCP") not in _PROTOCOLS:
        found.append("action or protocol")
    if "icmp" in rule and (rule.get("protocol") not in {"ICMP", "ICMPv6"} or not 0 <= rule["icmp"]["type"] <= 254):
        found.append("icmp")
    families = set()
    for name in ("source", "destination"):
        entity = rule.get(name, {})
        known = {"nets", "notNets", "selector", "namespaceSelector", "ports"}
        found += _unknown(entity, known | ({"domains"} if domains and side == "destination" else set()), name)
        families |= {ip_network(net).version for net in (*entity.get("nets", []), *entity.get("notNets", []))}
        if "ports" in entity and rule.get("protocol") not in {"TCP", "UDP", "SCTP"}:
            found.append("ports of a protocol without ports")
        if "domains" in entity and (
            {"nets", "selector", "namespaceSelector"} & entity.keys()
            or not all(_DOMAIN.fullmatch(domain) for domain in entity["domains"])
        ):
            found.append("domains")
        found += [f"port {port}" for port in entity.get("ports", []) if not _is_port(port)]
    if len(families) > 1:
        found.append("rule contains both IPv4 and IPv6 CIDRs")
    return found


def _is_port(port: object) -> bool:
    if isinstance(port, int):
        return 1 <= port <= 65535
    first, colon, last = str(port).partition(":")
    return int(first) <= int(last) <= 65535 if colon else _PORT.fullmatch(first) is not None


def _unknown(found: dict[str, Any], known: set[str], where: str) -> list[str]:
    return [f"{where}.{key} is not known" for key in found if key not in known]
