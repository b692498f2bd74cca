"""Access lists of Squid (squid.conf: acl, http_access), for an `include` before its own rules.

An item of `dstdomain` stands for that name alone, and with a leading dot for the name and everything below it: wider
than any wildcard of netpol, which become regular expressions instead. `-n` keeps Squid from looking up names for
addresses that a client asks for: whoever asks for an address is judged by `dst`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.subjects import word
from netpol.dialects.allowlists.values import Allowlist
from netpol.model.flow import TCP
from netpol.model.wildcard import Depth, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from netpol.dialects.allowlists.entries import Place
    from netpol.dialects.allowlists.values import Options
    from netpol.model.inventory import WorkloadRef
    from netpol.model.outside import Need

LONGEST_NAME: Final = 63
"""Characters of an acl's name (`ACL_NAME_SZ`)."""

_HEAD: Final = """\
# To be included before other http_access rules; what no rule allows, the last rule of squid.conf has to deny.
# Safe_ports and SSL_ports have to hold these ports where squid.conf denies others.
"""
_ROOM: Final = len("_port_000")


def squid(needs: Sequence[Need], options: Options) -> Allowlist:
    """For each workload an acl of its pods' addresses, and for each set of ports the names or addresses allowed."""
    ordered, remarks = entries.left_out(entries.in_order(needs), _unproxied)
    remarks += entries.open_ended(ordered)
    lines: list[str] = []
    for workload, own in entries.by_workload(ordered):
        lines += ("", *_workload(workload, own, options, remarks))
    text = _HEAD + "".join(f"{line}\n" for line in lines) if lines else ""
    return Allowlist(text=text, remarks=entries.final(remarks))


def _workload(workload: WorkloadRef, needs: Sequence[Need], options: Options, remarks: list[str]) -> Iterator[str]:
    name = word(workload, LONGEST_NAME - _ROOM)
    yield f"# {workload}"
    sources = options.sources.get(workload, ())
    if sources:
        yield f"acl {name}_src src {' '.join(map(str, sources))}"
    else:
        remarks.append(
            f"{workload}: no address of its pods is known: fill acl {name}_src, which matches nobody as it is"
        )
        yield f"acl {name}_src src"
    index = 0
    for places, group in entries.named_groups(needs):
        index += 1
        yield from _names(f"{name}_to_{index}", group)
        yield from _ports(f"{name}_port_{index}", places)
        for kind in _kinds(group):
            yield f"http_access allow {name}_src {name}_{kind}_{index} {name}_port_{index}"
    others = [need for need in needs if not entries.is_named(need)]
    behind = entries.Behind(others)
    for places, addresses in entries.addresses_by_places(others):
        index += 1
        prefixes = options.prefixes(addresses)
        remarks += entries.bounds(prefixes, options.most, f"{workload} on {entries.spelled(places)}")
        for prefix in prefixes:
            yield f"# {behind.note(prefix)}"
            yield f"acl {name}_to_{index} dst {prefix.network}"
        yield from _ports(f"{name}_port_{index}", places)
        yield f"http_access allow {name}_src {name}_to_{index} {name}_port_{index}"


def _kinds(group: Iterable[Need]) -> list[str]:
    """`to` where there are names, `re` where there are patterns: an acl is of one type."""
    keys = entries.patterns(group)
    found = {"re" if isinstance(key, Wildcard) else "to" for key in keys}
    return sorted(found, reverse=True)


def _names(name: str, group: Iterable[Need]) -> Iterator[str]:
    for key, grade in entries.patterns(group).items():
        yield f"# {entries.graded(key, grade)}"
        if isinstance(key, Wildcard):
            yield f"acl {name.replace('_to_', '_re_')} dstdom_regex -n -i {_expression(key)}"
        else:
            yield f"acl {name} dstdomain -n {key}"


def _expression(key: Wildcard) -> str:
    label = "[a-z0-9_-]+"
    head = rf"{label}\." if key.depth is Depth.ONE else rf"({label}\.)+"
    return f"^{head}{key.parent.replace('.', chr(92) + '.')}$"


def _ports(name: str, places: Iterable[Place]) -> Iterator[str]:
    yield f"acl {name} port {' '.join(str(port) for _, port in places)}"


def _unproxied(need: Need) -> str | None:
    return None if need.protocol == TCP else "Squid forwards TCP only"
