"""Sets of nftables with the rules that use them, and the same for ipset and iptables.

Each workload has, for each family, a set of its pods' addresses and a set of (address, protocol, port). The chain is
entered from nowhere: a person jumps to it from the chain that sees what leaves the cluster, before masquerading, and
drops what comes back. It accepts what was seen, and has no opinion on the rest.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from netpol.dialects.allowlists import entries
from netpol.dialects.allowlists.subjects import word
from netpol.dialects.allowlists.values import Allowlist
from netpol.model.flow import protocol_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netpol.dialects.allowlists.values import Options
    from netpol.model.inventory import WorkloadRef
    from netpol.model.outside import Need
    from netpol.model.prefixes import Prefix

TABLE: Final = "netpol_egress"
CHAIN: Final = "NETPOL-EGRESS"
LONGEST_NFT: Final = 100
"""Characters of a set's name: the kernel takes 255 (`NFT_NAME_MAXLEN`), people fewer."""
LONGEST_IPSET: Final = 31
"""Characters of a set's name (`IPSET_MAXNAMELEN` less its end)."""
DEFAULT_ELEMENTS: Final = 65536
"""Elements of an ipset unless it says otherwise (`maxelem`)."""

_NFT_HEAD: Final = """\
# Jump to chain allowed from the chain that sees what leaves the cluster, before masquerading, and drop what comes back.
"""
_FAMILY: Final = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
_Entry = tuple["Prefix", int, int, str]
"""Block, protocol, port, comment."""


def nftables(needs: Sequence[Need], options: Options) -> Allowlist:
    """A table of family inet for `nft -f`; loading it again replaces it."""
    remarks = entries.shared(entries.in_order(needs))
    sets: list[str] = []
    rules: list[str] = []
    for workload, own in entries.by_workload(needs):
        name = word(workload, LONGEST_NFT)
        for version, found in _entries(workload, own, options, remarks).items():
            sources = _sources(workload, version, options, remarks, f"{name}_src{version}")
            family, kind = _FAMILY[version]
            sets += _nft_set(f"{name}_src{version}", kind, [(source, "") for source in sources])
            elements = [(f"{prefix.network} . {protocol} . {port}", note) for prefix, protocol, port, note in found]
            sets += _nft_set(f"{name}_dst{version}", f"{kind} . inet_proto . inet_service", elements)
            rules.append(
                f"\t\t{family} saddr @{name}_src{version} {family} daddr . meta l4proto . th dport "
                f'@{name}_dst{version} accept comment "{workload.namespace}/{workload.name}"'
            )
    lines = [f"table inet {TABLE}", f"delete table inet {TABLE}", f"table inet {TABLE} {{", *sets]
    lines += ["\tchain allowed {", *rules, "\t}", "}"]
    return Allowlist(text=_NFT_HEAD + "".join(f"{line}\n" for line in lines), remarks=entries.final(remarks))


def ipset(needs: Sequence[Need], options: Options) -> Allowlist:
    """The sets for `ipset restore -exist`; `iptables` writes the rules that match them."""
    remarks = entries.shared(entries.in_order(needs))
    lines: list[str] = []
    for workload, own in entries.by_workload(needs):
        for version, found in _entries(workload, own, options, remarks).items():
            name = _ipset_name(workload, version)
            sources = _sources(workload, version, options, remarks, f"{name}-src")
            family = "inet" if version == 4 else "inet6"
            lines += [f"create {name}-src hash:ip family {family}{_room(len(sources))}", f"flush {name}-src"]
            lines += [f"add {name}-src {source}" for source in sources]
            lines += [f"create {name}-dst hash:net,port family {family}{_room(len(found))}", f"flush {name}-dst"]
            for prefix, protocol, port, note in found:
                lines.append(f"# {note}")
                lines.append(f"add {name}-dst {prefix.network},{protocol_name(protocol).lower()}:{port}")
    return Allowlist(text="".join(f"{line}\n" for line in lines), remarks=entries.final(remarks))


def iptables(needs: Sequence[Need], options: Options) -> Allowlist:  # noqa: ARG001 - every writer takes both
    """One chain for `iptables-restore --noflush` and `ip6tables-restore --noflush`, which both take their own lines."""
    rules: list[str] = []
    for workload, own in entries.by_workload(needs):
        for version in sorted({address.version for need in own for address in need.addresses}):
            name = _ipset_name(workload, version)
            names = entries.some(
                entries.evidence(need) for need in own if any(one.version == version for one in need.addresses)
            )
            rules.append(f"# {names}")
            rules.append(
                f"-{version} -A {CHAIN} -m set --match-set {name}-src src -m set --match-set {name}-dst dst,dst "
                f'-m comment --comment "{_comment(workload)}" -j ACCEPT'
            )
    head = "# Jump to the chain for what leaves the cluster, before masquerading, and drop what comes back.\n"
    text = "".join(f"{line}\n" for line in ("*filter", f":{CHAIN} - [0:0]", *rules, "COMMIT"))
    return Allowlist(text=head + text)


def _entries(
    workload: WorkloadRef, needs: Sequence[Need], options: Options, remarks: list[str]
) -> dict[int, list[_Entry]]:
    """By family what the workload needs; within a family and (protocol, port) no two blocks overlap."""
    found: defaultdict[int, list[_Entry]] = defaultdict(list)
    behind = entries.Behind(needs)
    for place, own in entries.by_place(needs):
        prefixes = options.prefixes(address for need in own for address in need.addresses)
        remarks += entries.bounds(prefixes, options.most, f"{workload} on {entries.spelled([place])}")
        for prefix in prefixes:
            found[prefix.network.version].append((prefix, *place, behind.note(prefix)))
    return dict(sorted(found.items()))


def _sources(workload: WorkloadRef, version: int, options: Options, remarks: list[str], name: str) -> list[str]:
    found = [str(source) for source in options.sources.get(workload, ()) if source.version == version]
    if not found:
        remarks.append(f"{workload}: no IPv{version} address of its pods is known: fill {name}, which matches nobody")
    return found


def _nft_set(name: str, kind: str, elements: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield f"\tset {name} {{"
    yield f"\t\ttype {kind}"
    if "." in kind:
        yield "\t\tflags interval"
    if elements:
        yield "\t\telements = {"
        yield from (f"\t\t\t{element},{f' # {note}' if note else ''}" for element, note in elements)
        yield "\t\t}"
    yield "\t}"


def _ipset_name(workload: WorkloadRef, version: int) -> str:
    return f"{word(workload, LONGEST_IPSET - len('-4-src'))}-{version}"


def _room(elements: int) -> str:
    return f" maxelem {elements}" if elements > DEFAULT_ELEMENTS else ""


def _comment(workload: WorkloadRef) -> str:
    """Whose rule it is: 255 characters are the most that the comment match takes."""
    return f"{workload.namespace}/{workload.name}"[:255]
