"""What adding a dataset up costs: one SQL text on duckdb and on Spark, beside a plain duckdb GROUP BY of its files.

    python -m tests.benchmarks.edges --records 5000000 --spark
    python -m tests.benchmarks.edges --records 5000000 --lasting
    python -m tests.benchmarks.edges --records 50000000
    python -m tests.benchmarks.edges --month

Records are those of `tests.benchmarks.dataset`. `plain` gives one row for each pair of ends, `connections` one for each
connection, which is the least that whoever counts connections seen by several nodes has to do:

    SELECT protocol, client_isn, server_isn, min(low), min(low_port), max(high), max(high_port), sum(packets),
           sum(bytes), min(first), max(last), bit_or(events), count(*)
    FROM connections GROUP BY protocol, client_isn, server_isn

`edges` is netpol's: from the same files to rows of who talked to whom, each connection once, with owners looked up in a
cluster of 2,150 pods and 150 Services, and once without a cluster. With `--lasting`, one connection in ten goes on for
half an hour, which gives most of the records. `--month` makes what a hub keeps of 30 days of a cluster of 1,000 nodes:
10,000 pods and 300 Services, every pod meets 4 of the pods behind them in an hour, a tenth of the pods is replaced
every day, 20 connections a second and node.
Each figure is from a process of its own: user and system time, wall time, and the most memory it held; medians.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

import duckdb

from netpol.dataset.folder import Dataset
from netpol.dataset.layout import FLOWS, HOUR, Note, identifier, partition
from tests.benchmarks.dataset import fill, say, size

_HOURS: Final = 30 * 24
_BEGIN: Final = 1_800_000_000_000_000_000 // HOUR
_PODS: Final = 10_000
_NODES: Final = 1_000

_GROUP: Final = """
import duckdb
database = duckdb.connect(config={{"threads": {threads}, "memory_limit": "640MB"}})
database.execute("SET enable_progress_bar = false")
# As a table: of a mere count, duckdb would leave out the sums.
database.execute('''CREATE TEMP TABLE grouped AS {query}''')
print(database.execute("SELECT count(*) FROM grouped").fetchone()[0])
"""
_PLAIN: Final = (
    "SELECT low, high, high_port, protocol, sum(packets), sum(bytes), min(first), max(last), bit_or(events), count(*) "
    "FROM '{folder}/connections/**/*.parquet' GROUP BY ALL"
)
_CONNECTIONS: Final = (
    "SELECT protocol, client_isn, server_isn, min(low), min(low_port), max(high), max(high_port), sum(packets), "
    "sum(bytes), min(first), max(last), bit_or(events), count(*) "
    "FROM '{folder}/connections/**/*.parquet' GROUP BY protocol, client_isn, server_isn"
)
_EDGES: Final = """
import sys
from pathlib import Path
from ipaddress import ip_address
from netpol.cluster.timeline import Timeline
from netpol.dataset.captures import Span
from netpol.dataset.folder import Dataset
from netpol.edges.run import flow_table
from netpol.model.inventory import Inventory, Pod, Service, WorkloadRef

def pod(name, address):
    ref = WorkloadRef(namespace="shop", name=name, kind="Deployment")
    return Pod(uid=name, namespace="shop", name=name, workload=ref, labels={"app": name}, addresses=(address,))

pods = [pod(f"p{number}", ip_address(0x0AF4_0000 + number)) for number in range(int(sys.argv[2]))]
services = []
for number in range(150 if pods else 0):
    pods.append(pod(f"s{number}", ip_address(0x0AF4_8000 + number)))
    services.append(Service(namespace="shop", name=f"s{number}", selector={"app": f"s{number}"},
                            addresses=(ip_address(0x0AFF_0000 + number),)))
if sys.argv[3] == "duckdb":
    from netpol.edges.duck import Duck
    engine = Duck()
else:
    from netpol.edges.spark import Spark
    engine = Spark(sys.argv[3])
timeline = Timeline.of(Inventory(namespaces={}, pods=tuple(pods), services=tuple(services))) if pods else None
print(len(flow_table([Dataset.open(Path(sys.argv[1]))], Span(), timeline, engine)))
"""


def run(code: str, *arguments: str) -> tuple[float, float, float, str]:
    """CPU seconds, wall seconds, peak MiB of all processes together, and the last line that it printed."""
    begin = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    out = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("failed")
    wall = time.monotonic() - begin
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, out.strip().split("\n")[-1]


def report(name: str, runs: list[tuple[float, float, float, str]], base: float) -> None:
    """One line."""
    cpu, wall = median(each[0] for each in runs), median(each[1] for each in runs)
    peak = max(each[2] for each in runs)
    ratio = f", {cpu / base:.2f} of connections" if base else ""
    say(f"{name}: {cpu:.2f} CPU s, {wall:.2f} s{ratio}, {peak:.0f} MiB, result {runs[0][3]}")


def records(options: argparse.Namespace, folder: Path) -> None:
    """Raw records."""
    fill(folder, options.records, max(options.records // 41_667, 1), lasting=options.lasting)
    Dataset.open(folder).compact()
    say(f"{options.records:,} records, {size(folder, 'connections') / 1e6:.0f} MB")
    threads = min(os.cpu_count() or 1, 4)
    group = {
        name: _GROUP.format(threads=threads, query=query.format(folder=folder))
        for name, query in (("plain", _PLAIN), ("connections", _CONNECTIONS))
    }
    works = {name: (code,) for name, code in group.items()} | {
        "edges, duckdb": (_EDGES, str(folder), "2000", "duckdb"),
        "edges, duckdb, no cluster": (_EDGES, str(folder), "0", "duckdb"),
    }
    found: dict[str, list[tuple[float, float, float, str]]] = {name: [] for name in works}
    for _ in range(options.runs):
        for name, arguments in works.items():
            found[name].append(run(*arguments))
    base = median(each[0] for each in found["connections"])
    for name, runs in found.items():
        report(name, runs, base)
    if options.spark:
        # The time of the Java machine is not that of this process: see the wall time.
        report("edges, Spark local[*]", [run(_EDGES, str(folder), "2000", "local[*]")], 0)


def month(folder: Path) -> None:
    """Thirty days of added up hours, as a hub keeps them."""
    Dataset.create(folder)
    database = duckdb.connect()
    database.execute("SET enable_progress_bar = false")
    names = {}
    for hour in range(_BEGIN, _BEGIN + _HOURS):
        name = names[hour] = identifier([f"simulated {hour}"])
        behind = frozenset({names[hour - 1]} if hour - 1 in names else ())
        note = Note(rollup=True, behind=behind).text().replace("'", "''")
        day = (hour - _BEGIN) // 24
        begin, number = hour * HOUR, (hour - _BEGIN) * 60
        tables = {
            "carry": _CARRY,
            "names": _NAMES,
            FLOWS: _MONTH_FLOWS.format(pods=_PODS, day=day, begin=begin // 1000),
            "windows": _WINDOWS.format(nodes=_NODES, begin=begin, end=begin + HOUR, number=number),
        }
        for table, query in tables.items():
            target = folder / table / partition(hour)
            target.mkdir(parents=True)
            database.execute(
                f"COPY ({query}) TO '{target}/{name}.parquet' "
                f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{netpol: '{note}'}})"
            )
    connections = _NODES * 20 * 3600 * _HOURS
    rows = database.execute("SELECT count(*) FROM read_parquet($1)", [f"{folder}/flows/**/*.parquet"]).fetchone()
    count = rows[0] if rows else 0
    say(f"month: {connections:,} connections, {count:,} rows of flows, {size(folder, FLOWS) / 1e6:.0f} MB "
        f"({2 * connections / count:.0f} raw records a row)")  # fmt: skip
    report("edges, duckdb", [run(_EDGES, str(folder), str(_PODS), "duckdb")], 0)


_MONTH_FLOWS: Final = """
SELECT '10.244.' || ((pod + {day} * 1000) % 65536) // 256 || '.' || (pod + {day} * 1000) % 256 AS client,
       '10.250.' || server // 256 || '.' || server % 256 AS server, 'TCP' AS protocol, 8080::USMALLINT AS port,
       1800::BIGINT AS connections, 21600::BIGINT AS packets, 9000000::BIGINT AS bytes,
       make_timestamp({begin} + pod) AS first_seen, make_timestamp({begin} + 3590000000 + pod) AS last_seen,
       'established' AS outcome, 'syn' AS direction, true AS two_way, 1152921504606846975::BIGINT AS minutes,
       NULL::VARCHAR AS source, NULL::VARCHAR AS destination
FROM (SELECT pod, (pod * 7 + peer) % 3000 AS server FROM range({pods}) AS pods(pod), range(4) AS peers(peer))
"""
_WINDOWS: Final = """
SELECT 'node-' || node AS observer, lpad(node::VARCHAR, 32, '0') AS run, {number}::BIGINT AS number,
       60::BIGINT AS windows, {begin}::BIGINT AS begin, {end}::BIGINT AS end, 864000::BIGINT AS packets,
       144000::BIGINT AS records, 0::BIGINT AS kernel, 0::BIGINT AS evicted, '' AS undecodable,
       0::BIGINT AS lost_windows, 0::BIGINT AS lost_records, 30::BIGINT AS interfaces, '1' AS version
FROM range({nodes}) AS nodes(node)
"""
_CARRY: Final = """
SELECT 0::UBIGINT AS low_high, 0::UBIGINT AS low, 0::UBIGINT AS high_high, 0::UBIGINT AS high, 0::BIGINT AS first,
       0::BIGINT AS last, NULL::BIGINT AS anchor, NULL::BIGINT AS syn, NULL::BIGINT AS synack, 0::BIGINT AS packets,
       0::BIGINT AS bytes, 0::UINTEGER AS client_isn, 0::UINTEGER AS server_isn, 0::USMALLINT AS low_port,
       0::USMALLINT AS high_port, 0::USMALLINT AS events, 4::UTINYINT AS family, 6::UTINYINT AS protocol,
       2::UTINYINT AS side, false AS opened_high, false AS early, false AS tracked, 1::UTINYINT AS told
LIMIT 0
"""
_NAMES: Final = """
SELECT NULL::VARCHAR AS window, NULL::VARCHAR AS observer, 0::BIGINT AS begin, 'count' AS kind,
       0::UBIGINT AS client_high, 0::UBIGINT AS client, 0::UBIGINT AS server_high, 0::UBIGINT AS server,
       '' AS name, 0::UINTEGER AS door,
       0::BIGINT AS first, 0::BIGINT AS last, 0::UBIGINT AS count
LIMIT 0
"""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--lasting", action="store_true")
    parser.add_argument("--spark", action="store_true")
    parser.add_argument("--month", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="netpol-benchmark-") as place:
        folder = Path(place, "dataset")
        if options.month:
            month(folder)
        else:
            records(options, folder)


if __name__ == "__main__":
    main()
