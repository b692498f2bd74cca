"""The last lines of `egress` on stderr: what was read, how well it is named, and what hides names or is left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from netpol.cli.text import plain
from netpol.model.outside import Grade
from netpol.names.evidence import CUT_HELLO, ENCRYPTED_HELLO, FORGOTTEN, HIDDEN_DNS, NO_SERVER_NAME, PROXY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from netpol.cli.observe import Reading
    from netpol.egress.attempts import Attempts
    from netpol.egress.needs import Needs
    from netpol.model.flow import Address
    from netpol.model.inventory import Inventory
    from netpol.names.table import Names

SHOWN = 5

_WIDTH = 14
_DOUBTS = (ENCRYPTED_HELLO, NO_SERVER_NAME, CUT_HELLO, PROXY, HIDDEN_DNS, FORGOTTEN)


def account_lines(
    needs: Needs, attempts: Attempts, names: Names, reading: Reading, inventory: Inventory
) -> Iterator[str]:
    """The account, one line a subject."""
    for name, text in _figures(needs, attempts, names, reading, inventory):
        yield f"{name:<{_WIDTH}}{plain(text)}"


def _figures(
    needs: Needs, attempts: Attempts, names: Names, reading: Reading, inventory: Inventory
) -> Iterator[tuple[str, str]]:
    tally = reading.tally
    undecoded = f"{tally.packets - tally.decoded:,} undecoded{_counts(dict(sorted(tally.undecoded.items())))}"
    captures = f"{tally.captures:,} {'capture' if tally.captures == 1 else 'captures'}"
    yield (
        "packets",
        (f"{tally.packets:,} read from {captures}, {undecoded}, {tally.truncated:,} truncated, {tally.lost:,} lost"),
    )
    yield "workloads", _workloads(needs)
    grades = Counter(need.grade for need in needs.needs)
    named = ", ".join(f"{grade.label} {grades[grade]:,}" for grade in Grade if grade is not Grade.NONE)
    yield "needs", f"{len(needs.needs):,}: {named}; by address only {grades[Grade.NONE]:,}"
    if needs.platform:
        kinds = Counter[str]()
        for item in needs.platform:
            kinds[item.platform.kind.value] += item.connections
        yield "platform", f"{sum(kinds.values()):,} connections{_counts(dict(sorted(kinds.items())))}"
    yield "not learned", _not_learned(needs, attempts)
    yield from _names(needs, names, inventory)


def _workloads(needs: Needs) -> str:
    text = f"{len({need.workload for need in needs.needs}):,} that need something outside the cluster"
    if needs.passed_over:
        text += f"; {len(needs.passed_over):,} of system namespaces left out, --system lists them too"
    return text


def _not_learned(needs: Needs, attempts: Attempts) -> str:
    reasons = Counter[str]()
    for item in needs.attempts:
        reasons[item.reason.identifier] += item.connections
    text = f"{sum(reasons.values()):,} connections to the outside{_counts(reasons)}"
    if attempts.unattributed:
        text += f"; {attempts.unattributed:,} more of nodes, hosts and addresses that no pod is known to have held"
    if attempts.elsewhere:
        text += f"; {attempts.elsewhere:,} more of which neither end is in the cluster"
    return text


def _names(needs: Needs, names: Names, inventory: Inventory) -> Iterator[tuple[str, str]]:
    yield "names", ", ".join(f"{what} {count:,}" for what, count in names.tally.items()) or "nothing that carries any"
    if names.no_host_names:
        yield "  no hosts", f"{', '.join(names.no_host_names)}: not host names, printed nowhere else"
    doubts = Counter(remark for need in needs.needs for remark in need.remarks)
    for doubt in _DOUBTS:
        if doubts[doubt]:
            yield "  hidden", f"{doubts[doubt]:,} {'need' if doubts[doubt] == 1 else 'needs'}: {doubt}"
    holders = _holders(inventory)
    hidden = {f"{holders.get(item.client, item.client)} to {item.server}: {item.way}" for item in names.hidden}
    for text in sorted(hidden)[:SHOWN]:
        yield "  hidden", text
    if len(hidden) > SHOWN:
        yield "  hidden", f"and {len(hidden) - SHOWN:,} more"


def _holders(inventory: Inventory) -> Mapping[Address, str]:
    """The workload that had an address, where there was but one."""
    found: defaultdict[Address, set[str]] = defaultdict(set)
    for pod in inventory.pods:
        if not pod.host_network:
            for address in pod.addresses:
                found[address].add(str(pod.workload))
    return {address: workloads.copy().pop() for address, workloads in found.items() if len(workloads) == 1}


def _counts(counts: Mapping[str, int]) -> str:
    inside = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f" ({inside})" if inside else ""
