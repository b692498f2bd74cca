"""Whether a pattern of names stands for anything that a list names, against asking for each name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netpol.model.host_name import HostName
from netpol.model.wildcard import Depth, Wildcard
from netpol.threats.domains import Domains, Reach

PARENT = HostName("b.a")
DEEP = st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(lambda labels: HostName(".".join(labels)))
REACH = st.sampled_from([Reach.SELF, Reach.BELOW, Reach.SELF | Reach.BELOW])


@given(st.lists(st.tuples(DEEP, REACH), max_size=6), st.sampled_from(Depth))
def test_patterns_against_asking_for_every_name(entries: list[tuple[HostName, Reach]], depth: Depth) -> None:
    domains = Domains()
    for line, (name, reach) in enumerate(entries, 1):
        domains.add(name, reach, line)
    pattern = Wildcard(parent=PARENT, depth=depth)
    # Names of up to seven labels: deeper ones are listed exactly if one of these is.
    names, every = [PARENT], []
    for _ in range(5):
        names = [HostName(f"{label}.{name}") for name in names for label in "abcd"]
        every += names
    assert (domains.under(pattern) is not None) == any(
        pattern.covers(name) and domains.line(name) is not None for name in every
    )
