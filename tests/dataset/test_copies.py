"""Copies of what lies elsewhere: some at a time, as many as there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netpol.dataset.copies import Copies

if TYPE_CHECKING:
    from pathlib import Path


class Elsewhere:
    """Files by name, and how often each was fetched."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.fetched: list[str] = []

    def __call__(self, name: str, path: Path, ends: bool) -> int:  # noqa: FBT001 - as Copies calls it
        self.fetched.append(name)
        if name not in self.files:
            raise FileNotFoundError(name)
        path.write_bytes(self.files[name][-2:] if ends else self.files[name])
        return path.stat().st_size


def contents(paths: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def test_what_was_fetched_is_not_fetched_again() -> None:
    elsewhere = Elsewhere(a=b"AAAA", b=b"BBBB")
    copies = Copies(elsewhere)
    assert contents(copies.paths(["b", "a", "b"])) == [b"BBBB", b"AAAA", b"BBBB"]
    assert contents(copies.paths(["a"])) == [b"AAAA"]
    assert sorted(elsewhere.fetched) == ["a", "b"]
    assert contents(copies.paths(["a"], ends=True)) == [b"AAAA"]  # the whole has the end


def test_the_oldest_go_when_there_is_no_room() -> None:
    elsewhere = Elsewhere(a=b"AAAA", b=b"BBBB", c=b"CCCC", d=b"D" * 100)
    copies = Copies(elsewhere, room=8)
    first, second = copies.paths(["a"]) + copies.paths(["b"])
    copies.paths(["a"])
    copies.paths(["c"])
    assert (first.exists(), second.exists()) == (True, False)
    both = copies.paths(["d", "b"])  # together they are too much, and are needed together
    assert contents(both) == [b"D" * 100, b"BBBB"]
    assert not first.exists()


def test_what_is_kept_stays() -> None:
    copies = Copies(Elsewhere(a=b"AAAA", b=b"BBBB", c=b"CCCC"), room=4)
    (kept,) = copies.paths(["a"], keep=True)
    (gone,) = copies.paths(["b"])
    copies.paths(["c"])
    assert (kept.exists(), gone.exists()) == (True, False)


def test_ends_are_not_the_whole() -> None:
    elsewhere = Elsewhere(a=b"ABCD")
    copies = Copies(elsewhere)
    assert contents(copies.paths(["a"], ends=True)) == [b"CD"]
    assert contents(copies.paths(["a"])) == [b"ABCD"]


def test_what_is_not_there_is_told_to_whoever_asks_for_it() -> None:
    elsewhere = Elsewhere(a=b"A")
    copies = Copies(elsewhere)
    copies.expect(["a", "x"])
    assert contents(copies.paths(["a"])) == [b"A"]
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            copies.paths(["a", "x"])
    elsewhere.files["x"] = b"X"
    assert contents(copies.paths(["x"])) == [b"X"]


def test_what_is_written_is_read_back_until_it_is_dropped(tmp_path: Path) -> None:
    elsewhere = Elsewhere(a=b"A")
    copies = Copies(elsewhere)
    file = tmp_path / "file"
    file.write_bytes(b"new")
    copies.put("a", file)
    assert contents(copies.paths(["a"])) == [b"new"]
    copies.drop("a")
    assert contents(copies.paths(["a"])) == [b"A"]


def test_the_folder_goes_with_them() -> None:
    copies = Copies(Elsewhere(a=b"A"))
    (path,) = copies.paths(["a"])
    root = copies.root
    del copies
    assert not path.exists()
    assert not root.exists()
