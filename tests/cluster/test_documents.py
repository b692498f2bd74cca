from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from netpol.cluster import documents, safe_yaml
from netpol.cluster.documents import Document, read_documents
from netpol.errors import InputError

POD = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n"


def read(folder: Path, text: str | bytes, name: str = "x.yaml") -> list[Document]:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_documents([file]))


def refused(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'x.yaml'}: ")
    assert caught.value.remedy
    return message.removeprefix(f"{folder / 'x.yaml'}: ")


def value(folder: Path, text: str) -> Any:
    (document,) = read(folder, POD + f"value: {text}\n")
    return document.data["value"]


class TestPlaces:
    def test_every_document_of_a_stream_with_its_number_and_empty_ones_counted(self, tmp_path: Path) -> None:
        found = read(tmp_path, f"---\n---\n{POD}---\n# only a comment\n---\n{POD}")
        assert [document.place for document in found] == [
            (str(tmp_path / "x.yaml"), "document 2"),
            (str(tmp_path / "x.yaml"), "document 4"),
        ]

    def test_lists_are_unwrapped_at_any_depth_and_typed_lists_lend_their_kind(self, tmp_path: Path) -> None:
        inner = {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]}
        found = read(tmp_path, json.dumps({"apiVersion": "v1", "kind": "List", "items": [inner, inner]}))
        assert [document.place[1:] for document in found] == [
            ("document 1", "items[0]", "items[0]"),
            ("document 1", "items[1]", "items[0]"),
        ]
        assert found[0].data == {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}

    def test_a_kind_that_only_ends_like_a_list_is_an_object(self, tmp_path: Path) -> None:
        (found,) = read(tmp_path, "apiVersion: x/v1\nkind: AllowList\nspec: {}\n")
        assert found.data["kind"] == "AllowList"

    def test_a_list_of_null_is_empty(self, tmp_path: Path) -> None:
        assert read(tmp_path, "apiVersion: v1\nkind: List\nitems: null\n") == []

    def test_folders_by_name_sorted_without_hidden_ones_and_files_by_content(self, tmp_path: Path) -> None:
        for name in ("b.yml", "a.yaml", "sub/c.json", ".git/d.yaml", "README.md", ".e.yaml"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "x": name}))
        assert [document.data["x"] for document in read_documents([tmp_path])] == ["a.yaml", "b.yml", "sub/c.json"]
        assert [document.data["x"] for document in read_documents([tmp_path / "README.md"])] == ["README.md"]

    def test_a_folder_may_hold_other_mappings_but_a_named_file_may_not(self, tmp_path: Path) -> None:
        (tmp_path / "x.yaml").write_text("replicas: 3\n")
        assert [document.data for document in read_documents([tmp_path])] == [{"replicas": 3}]
        assert refused(tmp_path, "replicas: 3\n").startswith("document 1: has no apiVersion and kind")

    def test_standard_input(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(POD.encode())))
        (found,) = read_documents(["-"])
        assert found.place == ("standard input", "document 1")
        with pytest.raises(InputError, match="named twice"):
            list(read_documents(["-", tmp_path, "-"]))

    def test_a_snapshot_says_when_it_was_taken_and_what_it_holds(self, tmp_path: Path) -> None:
        annotations = {documents.TAKEN_ANNOTATION: "2026-01-01T00:00:00Z", documents.SCOPE_ANNOTATION: "*"}
        pod = {"apiVersion": "v1", "kind": "Pod"}
        found = read(
            tmp_path,
            json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"annotations": annotations}, "items": [pod]}),
        )
        assert [(document.taken, document.scope) for document in found] == [("2026-01-01T00:00:00Z", "*")]


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "start"),
        [
            (POD + "kind: Pod\n", "document 1: line 5: the key 'kind' occurs twice"),
            (POD + "  labels: {a: 1, a: 2}\n", "document 1: line 5: metadata.labels: the key 'a' occurs twice"),
            (POD + "---\n" + POD + "on: x\n", "document 2: line 10: the key true is not a string"),
            (
                POD + "spec:\n  containers:\n  - 1: a\n",
                "document 1: line 7: spec.containers[0]: the key 1 is not a string",
            ),
            (POD + "? [a]\n: b\n", "document 1: line 5: a list or mapping is used as a key"),
            (POD + "spec: !!python/object:os.system {}\n", "document 1: line 5: spec: the tag"),
            (POD + "spec: !!int abc\n", "document 1: line 5: spec: the tag"),
            (POD + "spec: *nowhere\n", "document 1: line 5: spec: the alias *'nowhere' has no anchor"),
            (POD + "spec: &a [*a]\n", "document 1: line 5: spec[0]: the alias *'a' contains itself"),
            (POD + "spec: [\n", "document 1: line 6: not valid YAML"),
            (POD + "\tspec: 1\n", "document 1: line 5: not valid YAML"),
            (POD + "x: " + "9" * 5000, "document 1: line 5: x: a number of 5000 digits"),
            (POD + "x: " + "[" * 500, "document 1: line 5: x[0]"),
            (POD + "x: " + "[" * 5000, "document 1: line 5: "),  # newer versions of libyaml refuse that themselves
            (POD + "x: \x01", "document 1: not valid YAML"),
            ("- a\n- b\n", "document 1: is a list, not a Kubernetes object"),
            ("hello", "document 1: is text, not a Kubernetes object"),
            ("42", "document 1: is a number or a boolean, not a Kubernetes object"),
            ("kind: List\napiVersion: v1\nitems: {}\n", "document 1: items: 'List' without a list"),
            ("kind: List\napiVersion: v1\nitems: [1]\n", "document 1: items[0]: is not an object"),
            ('{"kind": "Pod", "kind": "Pod"}', "document 1: the key 'kind' occurs twice"),
            ('{"kind": "Pod",}\n{{', "document 1: line 1: not valid JSON"),
            ('{"a": NaN}', "document 1: NaN is not a JSON value"),
            ('{"a": ' + "9" * 5000 + "}", "document 1: a number with thousands of digits"),
            ('{"a": ' * 101 + "1" + "}" * 101, "document 1: nested deeper than 100 levels"),
            ('{"a": ' * 50_000, "document 1: nested deeper than 100 levels"),
            ("name: {{ .Values.name }}\n", "document 1: line 1: name: a list or mapping is used as a key"),
            ("{{- if .Values.x }}\nname: a\n{{- end }}\n", "document 1: line 1: not valid JSON"),
            (b"kind: \xff", "is not UTF-8 text (byte 6)"),
            (b"\xff\xfek", "is not UTF-16-LE text"),
            (POD + "<<: 3\n", "document 1: line 5: `<<` merges something that is not a mapping"),
        ],
    )
    def test_with_document_line_and_field(self, tmp_path: Path, text: str | bytes, start: str) -> None:
        assert refused(tmp_path, text).startswith(start)

    def test_templates_are_named_as_such(self, tmp_path: Path) -> None:
        assert "render it first" in refused(tmp_path, "a: b\n{{- if .Values.x }}\n")

    def test_aliases_of_aliases(self, tmp_path: Path) -> None:
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
        assert "aliases expand to more than" in refused(tmp_path, POD + "\n".join(lines))

    def test_missing_unreadable_and_empty(self, tmp_path: Path) -> None:
        for path in (tmp_path / "absent.yaml", tmp_path / "a\0b", Path("/proc/self/mem")):
            with pytest.raises(InputError) as caught:
                list(read_documents([path]))
            assert caught.value.remedy
        with pytest.raises(InputError, match="holds no"):
            list(read_documents([tmp_path]))

    def test_too_large(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(documents, "MAX_BYTES", 1 << 20)
        assert refused(tmp_path, b"#" * ((1 << 20) + 1)).startswith("larger than 1 MiB")
        monkeypatch.setattr(safe_yaml, "MAX_NODES", 8)
        assert "more than 8 values" in refused(tmp_path, POD + "---\n" + POD)
        monkeypatch.setattr(safe_yaml, "MAX_NODES", 1000)
        monkeypatch.setattr(safe_yaml, "MAX_DOCUMENTS", 2)
        assert "2 documents" in refused(tmp_path, (POD + "---\n") * 3)


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("~", None),
            ("", None),
            ("yes", True),
            ("Off", False),
            ("y", "y"),
            ("017", 15),
            ("0o17", 15),
            ("0x1F", 31),
            ("0b11", 3),
            ("-5", -5),
            ("1_000", 1000),
            ("1:30", "1:30"),
            ("2022-08-01T17:05:22Z", "2022-08-01T17:05:22Z"),
            ("1.5", 1.5),
            ("1e3", 1000.0),
            (".inf", float("inf")),
            ("'on'", "on"),
            ('"017"', "017"),
            ("!!str 12", "12"),
            ("! 12", "12"),
            ("!!int '12'", 12),
            ("10.0.0.1", "10.0.0.1"),
            ("=", "="),
            ("08", 8.0),
            ("<<", "<<"),
            ("0x", "0x"),
            ("{a: 1, <<: {a: 2, b: 3}}", {"a": 1, "b": 3}),
            ("{<<: [{a: 1}, {a: 2, c: 4}]}", {"a": 1, "c": 4}),
            ("[&x {a: 1}, *x]", [{"a": 1}, {"a": 1}]),
        ],
    )
    def test_scalars_as_kubectl_reads_them(self, tmp_path: Path, text: str, expected: object) -> None:
        found = value(tmp_path, text)
        assert found == expected
        assert type(found) is type(expected)

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_byte_order_marks(self, tmp_path: Path, encoding: str) -> None:
        mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
        (found,) = read(tmp_path, (mark + POD + "x: ü\n").encode(encoding))
        assert found.data["x"] == "ü"

    def test_flow_style_that_is_no_json(self, tmp_path: Path) -> None:
        (found,) = read(tmp_path, "{apiVersion: v1, kind: Pod}")
        assert found.data == {"apiVersion": "v1", "kind": "Pod"}

    def test_several_json_texts(self, tmp_path: Path) -> None:
        assert len(read(tmp_path, '{"apiVersion": "v1", "kind": "Pod"}\n' * 3)) == 3


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.text(st.characters(codec="utf-8", categories=["L", "N", "P"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abxyz:-[ #", max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=150)
@given(json_values)
def test_what_pyyaml_writes_is_read_back(tree: object) -> None:
    for style in (True, False):
        text = yaml.safe_dump({"tree": tree}, allow_unicode=True, default_flow_style=style).encode()
        assert list(safe_yaml.read_yaml(text)) == [{"tree": tree}]


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200) | st.text("{}[]:,-&*!?<>|'\"# \n\tab1~", max_size=120).map(str.encode))
def test_any_bytes_are_documents_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(content)
    try:
        found = list(read_documents([file]))
    except InputError as error:
        place, remedy = error.where[0], error.remedy
    else:
        place, remedy = str(file), "x"
        assert all(isinstance(document.data, dict) for document in found)
    assert place == str(file)
    assert remedy
