"""Spark says what duckdb says, row for row."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING

import pytest

from netpol.cluster.manifests import load
from netpol.cluster.timeline import Timeline
from netpol.edges.duck import Duck
from netpol.edges.spark import Spark, _told
from netpol.errors import InputError
from tests.dataset.recordings import HOUR, START
from tests.edges.sameness import CLUSTER, PACKETS, added_up, dataset_of
from tests.edges.translation import cluster, conversations, handshakes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netpol.dataset.folder import Dataset
    from tests.flows.reference import Packet

if importlib.util.find_spec("pyspark") is None:
    pytest.skip("pyspark is not installed", allow_module_level=True)
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark needs a Java runtime", allow_module_level=True)

MASTER = "local[2]"


@pytest.fixture(scope="module", autouse=True)
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """On loopback, and without compiling what is run on a few rows once."""
    folder = tmp_path_factory.mktemp("spark")
    settings = ("spark.sql.codegen.wholeStage false", "spark.sql.codegen.factoryMode NO_CODEGEN")
    (folder / "spark-defaults.conf").write_text("\n".join(settings), encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("SPARK_CONF_DIR", str(folder))
        yield


def test_the_sample_shop_with_its_cluster(shop: Dataset) -> None:
    timeline = Timeline.of(load([CLUSTER]))
    flows = added_up([shop], Spark(MASTER), timeline)
    assert len(flows.flows) > 100
    assert flows == added_up([shop], Duck(), timeline)


def test_hours_that_are_added_up_and_those_that_are_not(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", PACKETS)
    dataset.roll_up(START // HOUR)
    assert added_up([dataset], Spark(MASTER)) == added_up([dataset], Duck())


@pytest.mark.parametrize("made", [handshakes, conversations])
def test_what_is_made_up(tmp_path: Path, made: Callable[[Random, int], list[Packet]]) -> None:
    dataset = dataset_of(tmp_path / "d", made(Random(7), 200))
    flows = added_up([dataset], Spark(MASTER), cluster())
    assert len(flows.flows) > 10
    assert flows == added_up([dataset], Duck(), cluster())


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "d", PACKETS[:20])
    damaged = min((tmp_path / "d" / "connections").rglob("*.parquet"))
    damaged.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be added up"):
        added_up([dataset], Spark(MASTER))


def test_a_file_system_that_spark_does_not_have_is_named() -> None:
    """Of what Java says, not that something was called."""
    spark = Spark(MASTER)
    with pytest.raises(InputError, match="No FileSystem for scheme"), _told("asked"):
        spark._session.read.parquet("nowhere://bucket/file")
    spark.close()


def test_the_command_gives_the_same_bytes(shop: Dataset) -> None:
    command = [sys.executable, "-m", "netpol", "flows", str(shop.root), "--cluster", str(CLUSTER), "-o", "json"]
    outputs = [
        subprocess.run([*command, "--engine", engine], capture_output=True, text=True, check=True)
        for engine in ("duckdb", MASTER)
    ]
    assert outputs[0].stdout == outputs[1].stdout
    assert outputs[0].stdout.count("\n") > 100
    assert "Traceback" not in outputs[1].stderr
    assert "[Stage" not in outputs[1].stderr
