"""Lines of fields, counted by hand."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.review.lines import lines_of, spot

TEXT = b"""# a comment
kind: A
---
kind: NetworkPolicy
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: &peers
    - podSelector: {}

    - ipBlock:
        cidr: 10.0.0.0/8
    ports: [{port: 1},
            {port: 2}]
  -
    from: *peers
---
kind: List
items:
- kind: X
- kind: Y
  spec:
    egress: []
"""


def test_keys_items_and_what_is_not_there() -> None:
    expected = {
        (2, ()): 4,
        (2, ("spec",)): 5,
        (2, ("spec", "podSelector")): 6,
        (2, ("spec", "podSelector", "matchLabels", "app")): 6,
        (2, ("spec", "ingress")): 7,
        (2, ("spec", "ingress", 0)): 8,
        (2, ("spec", "ingress", 0, "from", 1)): 11,
        (2, ("spec", "ingress", 0, "from", 1, "ipBlock", "except")): 11,
        (2, ("spec", "ingress", 0, "ports", 1, "port")): 14,
        (2, ("spec", "ingress", 1)): 16,
        (2, ("spec", "ingress", 1, "from", 0)): 16,
        (2, ("spec", "egress")): 5,
        (3, ("items", 1, "spec", "egress")): 23,
    }
    assert lines_of(TEXT, expected) == expected
    assert lines_of(TEXT, [(9, ("spec",))]) == {}
    assert lines_of(TEXT.replace(b"\n", b"\r\n"), expected) == expected


def test_json_has_lines_too() -> None:
    text = json.dumps({"kind": "List", "items": [{"spec": {"egress": []}}]}, indent=1).encode()
    assert lines_of(text, [(1, ("items", 0, "spec", "egress"))]) == {(1, ("items", 0, "spec", "egress")): 6}


def test_places() -> None:
    assert spot(("f.yaml", "document 2", "items[1]"), ("spec",)) == (2, ("items", 1, "spec"))
    assert spot(("f.yaml",), ("spec",)) is None
    assert spot(("f.yaml", "document 2", "what is this"), ()) is None


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text("{}[]:,-&*a \n'\"#?|>!%\t", max_size=60).map(str.encode))
def test_whatever_the_bytes_are_there_is_an_answer(content: bytes) -> None:
    asked = [(1, ("a", 0)), (2, ()), (1, ("a", "a"))]
    assert all(line >= 1 for line in lines_of(content, asked).values())
