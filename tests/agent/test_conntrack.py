"""Reading the kernel's table where that does not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpol.agent.conntrack import from_table
from netpol.errors import InputError
from netpol.sources.builder import End

if TYPE_CHECKING:
    from pathlib import Path


def test_a_kernel_that_shows_no_table_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NET_ADMIN"):
        list(from_table(tmp_path / "nothing"))


def test_only_established_tcp_counts(tmp_path: Path) -> None:
    """Lines as Linux prints them (nf_conntrack_standalone.c)."""
    ends = "src=10.0.0.1 dst=10.96.0.10 sport=40000 dport=80 src=10.0.0.2 dst=10.0.0.1 sport=8000 dport=40000"
    table = tmp_path / "table"
    table.write_text(
        f"ipv4     2 tcp      6 431999 ESTABLISHED {ends} [ASSURED] mark=0 zone=0 use=2\n"
        f"ipv4     2 tcp      6 431999 ESTABLISHED {ends.replace('40000', '40001')} mark=0 zone=0 use=2\n"
        f"ipv4     2 tcp      6 100 TIME_WAIT {ends} [ASSURED] mark=0 zone=0 use=2\n"
        f"ipv4     2 udp      17 100 {ends} [ASSURED] mark=0 zone=0 use=2\n"
        "something else\n"
    )
    assert list(from_table(table)) == [(End(4, 0, 0x0A000001, 40000), End(4, 0, 0x0A000002, 8000))]
