"""Datasets, and nothing else: they are added up where they lie, by an engine, instead of record by record."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netpol.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from netpol.capture.packets import Tally
    from netpol.capture.sources import Input
    from netpol.cluster.timeline import Timeline
    from netpol.dataset.captures import Span
    from netpol.dataset.folder import Dataset
    from netpol.dataset.place import Place
    from netpol.edges.engine import Engine
    from netpol.flows.table import FlowTable
    from netpol.names.part import NameTaker

DUCKDB, SPARK = "duckdb", "spark"
_MASTERS: Final = ("local", "spark://", "k8s://", "yarn", "sc://")
_WINDOWS_AT_ONCE: Final = 64


def is_spark(word: str) -> bool:
    """Whether `--engine` names Spark.

    Raises:
        UsageError: It names nothing that is known.
    """
    if word in {"", DUCKDB}:
        return False
    if word == SPARK or word.startswith(_MASTERS):
        return True
    raise UsageError(
        f"--engine {word} is not known",
        remedy="Name duckdb, spark, a master (local[4], spark://HOST:7077, k8s://...), or sc://HOST for Spark Connect",
    )


def flows_of(
    paths: Sequence[Path | Literal["-"] | Place],
    engine: str,
    tally: Tally,
    *,
    timeline: Timeline | None,
    names: NameTaker | None,
    span: Span,
) -> FlowTable | None:
    """The flows of datasets; None where something else is to be read as well, or a file of them is damaged.

    Args:
        paths: As the user named them.
        engine: As the user named it.
        tally: Counts what was read.
        timeline: Who held which address when.
        names: Takes what was recorded of names.
        span: The part of the time that is wanted.

    Raises:
        InputError: Spark was asked for, and cannot do it.
        UsageError: Spark was asked for, and there is something else than datasets; or the engine is not known.
    """
    from netpol.cli.observe import note
    from netpol.cli.progress import at_work
    from netpol.dataset.account import Account
    from netpol.dataset.folder import held_by
    from netpol.dataset.layout import NewerError
    from netpol.edges.run import flow_table

    spark = is_spark(engine)
    with _datasets(paths) as datasets:
        if not datasets:
            if spark:
                remedy = "Put the others into one first: netpol dataset merge DIR CAPTURE..."
                raise UsageError("--engine spark reads datasets only", remedy=remedy)
            return None
        try:
            with at_work("adding records up with Spark" if spark else "adding records up"):
                table = flow_table(datasets, span, timeline, _engine(engine, spark=spark))
        except NewerError:
            raise
        except InputError as error:
            if spark:
                raise
            # Whoever reads record by record says which file it is, and uses the others.
            note(f"{error}: read record by record instead")
            return None
        account = Account(tally)
        for place, dataset in enumerate(datasets):
            without = held_by(datasets[:place])
            dataset.survey(span.since, span.until, account=account, names=names, without=without)
        account.finish()
    return table


def _engine(word: str, *, spark: bool) -> Engine:
    if spark:
        from netpol.edges.spark import Spark

        return Spark("" if word == SPARK else word)
    from netpol.edges.duck import Duck

    return Duck()


@contextmanager
def _datasets(paths: Sequence[Path | Literal["-"] | Place]) -> Iterator[list[Dataset]]:
    """The datasets that the paths hold, and windows beside them as one more; none where there is anything else."""
    from netpol.dataset.captures import kinds_of
    from netpol.dataset.folder import Dataset
    from netpol.dataset.layout import MARK
    from netpol.dataset.spill import Spill

    # Pipes can be looked at once only: nothing but folders is.
    if not all(path != "-" and Path(path, MARK).is_file() for path in paths if isinstance(path, Path | str)):
        yield []
        return
    kinds = kinds_of(paths)
    datasets = [Dataset.open(where) for where in kinds.datasets]
    with ExitStack() as stack:
        if kinds.windows:
            spill = Spill.make()
            stack.callback(spill.close)
            waiting = Dataset.create(spill.path / "dataset")
            try:
                _fill(waiting, kinds.windows)
            except InputError:  # it is damaged, or a hub has moved it into its tables meanwhile
                datasets.clear()
            else:
                datasets.append(waiting)
        yield datasets


def _fill(dataset: Dataset, windows: Sequence[Input]) -> None:
    from netpol.dataset.captures import read_window_of

    for place in range(0, len(windows), _WINDOWS_AT_ONCE):
        dataset.append([read_window_of(each) for each in windows[place : place + _WINDOWS_AT_ONCE]])
