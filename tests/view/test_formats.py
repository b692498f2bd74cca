"""Each format is read back by a program or a library that others wrote, and holds nothing that acts."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import networkx as nx
import pytest

from netpol.errors import UsageError
from netpol.model.flow import Direction, Outcome
from netpol.view.as_json import json_pieces
from netpol.view.csv_edges import COLUMNS, csv_lines
from netpol.view.dot import dot_pieces
from netpol.view.mermaid import MOST_LINES, mermaid
from netpol.view.networks import cytoscape, gexf, graphml
from netpol.view.tree import Glyphs, tree
from tests.graph.world import flow, inventory, pod
from tests.view.drawn import HOSTILE, graph_of, hostile, is_tame

if TYPE_CHECKING:
    from collections.abc import Callable

    from netpol.view.flow_graph import FlowGraph

WEB = pod("web-1", {"app": "web"}, owner="web")
WEB2 = pod("web-2", {"app": "web"}, owner="web", node="n2")
API = pod("api-1", {"app": "api", "tier": "back"}, owner="api", ports=[8080])
DB = pod("db-1", {"app": "db"}, owner="db", kind="StatefulSet", namespace="data")
CLUSTER = inventory([WEB, WEB2, API, DB])
GRAPH = graph_of(
    [
        flow(WEB, API, 8080, at=1),
        flow(WEB2, API, 8080, at=7, connections=2, outcome=Outcome.MIDSTREAM, direction=Direction.DECLARED),
        flow(API, DB, 5432),
        flow(API, DB, 5433, outcome=Outcome.REFUSED),
        flow("203.0.113.1", WEB, 80),
    ],
    CLUSTER,
)
EMPTY = graph_of([], inventory([]))


def text_of(graph: FlowGraph) -> str:
    glyphs = Glyphs.for_encoding("utf-8")
    return "".join("".join(piece for piece, _ in line) + "\n" for line in tree(graph, glyphs))


FORMATS: dict[str, Callable[[FlowGraph], str]] = {
    "json": lambda graph: "".join(json_pieces(graph)),
    "csv": lambda graph: "".join(csv_lines(graph)),
    "dot": lambda graph: "".join(dot_pieces(graph)),
    "mermaid": mermaid,
    "graphml": graphml,
    "gexf": gexf,
    "cytoscape": cytoscape,
    "text": text_of,
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_drives_a_terminal_or_commands_a_runner(name: str, text: str) -> None:
    printed = FORMATS[name](hostile(text))
    printed.encode("utf-8")  # no half of a surrogate pair either
    assert is_tame(printed)


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_graph_is_the_same_text_and_an_empty_one_is_one_too(name: str) -> None:
    assert FORMATS[name](GRAPH) == FORMATS[name](GRAPH)
    assert is_tame(FORMATS[name](EMPTY))


def test_json_is_the_contract() -> None:
    found = json.loads(FORMATS["json"](GRAPH))
    assert {"judged_by", "compared", "window", "time", "connections", "learned", "left_out", "unseen"} <= found.keys()
    assert found["time"] == {"start": "1970-01-01T00:00:00.000000Z", "bin_seconds": 1, "bins": 9}
    assert [node["id"] for node in found["nodes"]] == [
        "data/db[StatefulSet]",
        "shop/api[Deployment]",
        "shop/web[Deployment]",
        "external 203.0.113.1",
    ]
    assert found["nodes"][1]["labels"] == {"app": "api", "tier": "back"}
    (edge,) = (edge for edge in found["edges"] if edge["label"] == "TCP/8080")
    seen = edge.pop("seen")
    assert edge.pop("id").startswith("e")
    assert edge == {
        "source": "shop/web[Deployment]",
        "destination": "shop/api[Deployment]",
        "label": "TCP/8080",
        "protocols": ["TCP"],
        "port": 8080,
        "ports": {"TCP": [[8080, 8080]]},
        "state": "allowed-used",
        "reason": None,
        "directed": True,
        "verdict": "allowed",
        "admitted_by": [
            {"policy": "shop/api", "direction": "ingress", "rule": 0},
            {"policy": "shop/web", "direction": "egress", "rule": 0},
        ],
        "blocked_by": None,
    }
    assert seen == {
        "connections": 3,
        "packets": 30,
        "bytes": 3000,
        "first_seen": "1970-01-01T00:00:01.000000Z",
        "last_seen": "1970-01-01T00:00:08.000000Z",
        "active": [[1, 2], [7, 8]],
        "outcomes": {"established": 1, "midstream": 2},
        "directions": {"syn": 1, "declared": 2},
        "midstream": 2,
        "silent": 0,
        "shared": 0,
        "services": [],
        "source_pods": {"count": 2, "names": ["web-1", "web-2"]},
        "destination_pods": {"count": 1, "names": ["api-1"]},
        "nodes": ["n1", "n2"],
    }


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_json_gives_text_back_as_it_was(text: str) -> None:
    found = json.loads(FORMATS["json"](hostile(text)))
    assert {node["name"] for node in found["nodes"]} == {text}
    assert FORMATS["json"](hostile(text)).isascii()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("graphml", nx.parse_graphml),
        ("gexf", lambda text: nx.read_gexf(io.BytesIO(text.encode()))),
        ("cytoscape", lambda text: nx.cytoscape_graph(json.loads(text))),
    ],
    ids=["graphml", "gexf", "cytoscape"],
)
class TestNetworkx:
    def test_it_reads_nodes_edges_and_evidence(self, name: str, read: Callable[[str], nx.MultiDiGraph[str]]) -> None:
        found = read(FORMATS[name](GRAPH))
        assert found.is_directed()
        assert set(found) == {node.id for node in GRAPH.nodes}
        assert found.number_of_edges() == len(GRAPH.edges)
        (edge,) = (data for *_, data in found.edges(data=True) if data["ports"] == "TCP/8080")
        assert (edge["state"], edge["connections"], edge["bytes"], edge["midstream"]) == ("allowed-used", 3, 3000, 2)
        assert edge["admitted_by"] == "shop/api:ingress[0] shop/web:egress[0]"
        assert (edge["directions"], edge["first_seen"]) == ("syn=1 declared=2", "1970-01-01T00:00:01.000000Z")
        assert found.nodes["shop/api[Deployment]"]["labels"] == "app=api tier=back"

    @pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
    def test_hostile_text_stays_text(self, name: str, read: Callable[[str], nx.MultiDiGraph[str]], text: str) -> None:
        found = read(FORMATS[name](hostile(text)))
        assert (found.number_of_nodes(), found.number_of_edges()) == (3, 2)


def tags_of(text: str) -> set[str]:
    return {element.tag.rpartition("}")[2] for element in ET.fromstring(text).iter()}  # noqa: S314 - our own output


def test_xml_has_no_element_of_an_attacker_and_no_date() -> None:
    for name in ("graphml", "gexf"):
        assert "script" not in tags_of(FORMATS[name](hostile(HOSTILE[0])))
    assert "lastmodifieddate" not in gexf(GRAPH)
    assert 'type="long"' in gexf(GRAPH)  # Gephi's integer has 32 bits, and bytes have more


def test_csv_has_a_line_for_each_edge_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"](GRAPH), newline="")))
    assert len(rows) == len(GRAPH.edges)
    assert tuple(rows[0]) == COLUMNS
    (row,) = (row for row in rows if row["ports"] == "TCP/5433")
    assert (row["state"], row["reason"], row["connections"]) == ("quarantined", "refused", "1")
    for text in HOSTILE:
        (head, *lines) = csv.reader(io.StringIO(FORMATS["csv"](hostile(text)), newline=""))
        assert len(lines) == 2
        assert all(len(line) == len(head) for line in lines)
        assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line)


dot_program = pytest.mark.skipif(shutil.which("dot") is None, reason="graphviz is not installed")


def graphviz(text: str, form: str) -> str:
    return subprocess.run(["dot", f"-T{form}"], input=text, capture_output=True, text=True, check=True).stdout


@dot_program
def test_graphviz_draws_namespaces_and_keeps_evidence() -> None:
    found = json.loads(graphviz(FORMATS["dot"](GRAPH), "json"))
    boxes = [item["label"] for item in found["objects"] if item["name"].startswith("cluster")]
    assert boxes == ["data", "shop"]
    (edge,) = (edge for edge in found["edges"] if edge["label"] == "TCP/8080")
    assert (edge["connections"], edge["state"]) == ("3", "allowed-used")


@dot_program
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_graphviz_takes_hostile_text_for_text(text: str) -> None:
    drawn = graphviz(FORMATS["dot"](hostile(text)), "svg")
    assert not {"script", "a"} & tags_of(drawn)
    classes = re.findall(r'class="(node|edge)"', drawn)
    assert (classes.count("node"), classes.count("edge")) == (3, 2)


def test_mermaid_has_one_line_for_the_ports_of_a_pair() -> None:
    assert mermaid(GRAPH).splitlines() == [
        "flowchart LR",
        '  subgraph s0["data"]',
        '    n0["db #40;StatefulSet#41;"]',
        "  end",
        '  subgraph s1["shop"]',
        '    n1["api #40;Deployment#41;"]',
        '    n2["web #40;Deployment#41;"]',
        "  end",
        '  n3(["external 203.0.113.1"])',
        '  n3 -->|"TCP/80"| n2',
        '  n1 -->|"TCP/5432"| n0',
        '  n1 -.->|"TCP/5433 refused"| n0',
        '  n2 -->|"TCP/8080"| n1',
        "  linkStyle 0,1,3 stroke:#009e73",
        "  linkStyle 2 stroke:#cc79a7,stroke-dasharray:6 4",
    ]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_mermaid_labels_hold_letters_digits_and_codes(text: str) -> None:
    for line in mermaid(hostile(text)).splitlines():
        for label in re.findall(r'"([^"]*)"', line):
            assert re.fullmatch(r"(?:[^\W_]|[ ./_,:-]|#\d+;)*", label), label
        assert line.count('"') in {0, 2}


def test_mermaid_says_when_there_is_too_much() -> None:
    pods = [pod(f"p{number}", {"app": f"p{number}"}, owner=f"p{number}") for number in range(MOST_LINES + 2)]
    graph = graph_of([flow(pods[0], other, 80) for other in pods[1:]], inventory(pods))
    with pytest.raises(UsageError, match=r"61 lines are too many.*--min-connections"):
        mermaid(graph)


def test_text_is_a_tree_for_each_namespace() -> None:
    assert text_of(GRAPH).splitlines() == [
        "Namespace data",
        "└─ db[StatefulSet]  1 pod on n1",
        "   ├─ ← shop/api  TCP/5432  1",
        "   └─ ← shop/api  TCP/5433  1  refused",
        "Namespace shop",
        "├─ api[Deployment]  1 pod on n1",
        "│  ├─ ← shop/web  TCP/8080  3  2 midstream",
        "│  ├─ → data/db   TCP/5432  1",
        "│  └─ → data/db   TCP/5433  1  refused",
        "└─ web[Deployment]  2 pods on n1, n2",
        "   ├─ ← external 203.0.113.1  TCP/80    1",
        "   └─ → shop/api              TCP/8080  3  2 midstream",
    ]


def test_workloads_of_one_name_are_told_by_their_kind() -> None:
    twin = pod("web-0", {"app": "other"}, owner="web", kind="StatefulSet")
    printed = text_of(graph_of([flow(WEB, API, 8080), flow(twin, API, 8080)], inventory([WEB, twin, API])))
    assert "← shop/web[Deployment]" in printed
    assert "← shop/web[StatefulSet]" in printed
    assert "→ shop/api  TCP" in printed


def test_a_terminal_without_line_drawing_gets_ascii() -> None:
    for encoding in ("ascii", "latin-1", "no-such-encoding"):
        glyphs = Glyphs.for_encoding(encoding)
        printed = "".join(piece for line in tree(GRAPH, glyphs) for piece, _ in line)
        assert printed.isascii()


def test_what_no_policy_speaks_of_is_drawn_on_demand() -> None:
    graph = graph_of([flow(WEB, API, None, protocol=1)], CLUSTER)
    assert len(graph.edges) == 1
    for draw in (mermaid, lambda graph, **more: "".join(dot_pieces(graph, **more))):
        assert "ICMP" not in draw(graph)
        assert "ICMP" in partial(draw, everything=True)(graph)
