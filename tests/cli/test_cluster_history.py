"""The history of a cluster as `--cluster`, `--existing` and `--policies`: as the cluster that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpol.cluster.documents import read_documents
from netpol.cluster.history import History
from netpol.cluster.kinds import KINDS, POLICY_KINDS
from tests.cli.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Netpol

SHOP = ROOT / "captures" / "shop"
SAMPLE = ROOT / "samples" / "shop" / "cluster.yaml"
EXISTING = ROOT / "samples" / "shop" / "existing.yaml"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """The history of the shop, as a watcher that listed it would have written it."""
    folder = tmp_path / "hub"
    history = History.open(folder)
    assert history.writer is not None
    objects = [document.data for document in read_documents([SAMPLE, EXISTING])]
    for kind in (*KINDS, *POLICY_KINDS):
        items = [item for item in objects if item["kind"] == kind.kind and item["apiVersion"] == kind.version]
        for number, item in enumerate(items):
            item["metadata"].setdefault("uid", f"{kind.resource}-{number}")
        history.writer.begin(kind)
        assert history.writer.page(kind, items).refused == []
        history.writer.finish(kind, "1", {item["metadata"]["uid"] for item in items})
    history.close()
    return folder


def test_it_reads_as_the_cluster(netpol: Netpol, folder: Path, tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    with export.open("w") as stream:
        History.read(folder).export(stream)
    expected = netpol("flows", SHOP, "--cluster", SAMPLE, "-o", "json")
    assert expected.code == 0
    for place in (folder, folder / "cluster.sqlite", export):
        found = netpol("flows", SHOP, "--cluster", place, "-o", "json")
        assert (found.code, found.out) == (0, expected.out)


def test_its_policies_are_read_too(netpol: Netpol, folder: Path) -> None:
    expected = netpol("list", EXISTING, "--cluster", SAMPLE, "-o", "json")
    found = netpol("list", folder, "--cluster", folder, "-o", "json")
    assert (found.code, found.out) == (expected.code, expected.out)
    assert expected.code == 0


def test_a_database_that_is_none(netpol: Netpol, tmp_path: Path) -> None:
    path = tmp_path / "cluster.sqlite"
    path.write_bytes(b"SQLite format 3\0" + bytes(100))
    answer = netpol("flows", SHOP, "--cluster", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert str(path) in answer.err
    assert "Traceback" not in answer.err
