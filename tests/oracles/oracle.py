"""Other engines, written in Go, to compare with: built once a session by the Go toolchain, asked line by line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, Any, Self

import pytest

_BUILD_SECONDS = 900


class Oracle:
    """A running program that answers each line of JSON with one."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question: object) -> Any:
        """The answer to one question."""
        _pipe(self._process.stdin).write(json.dumps(question) + "\n")
        _pipe(self._process.stdin).flush()
        answer = _pipe(self._process.stdout).readline()
        assert answer, "the other engine stopped: its message stands above"
        return json.loads(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            _pipe(self._process.stdin).close()


def build(name: str, folder: Path) -> Path:
    """Builds `tests/oracles/NAME` into the folder; skips the test, with a reason, where that cannot be done.

    Modules come from the Go module proxy, into Go's own cache: the first build takes minutes, later ones seconds.
    """
    go = shutil.which("go")
    if go is None:
        pytest.skip("no Go toolchain to build the other engine with")
    if os.environ.get("NETPOL_TEST_ORACLES") == "0":
        pytest.skip("NETPOL_TEST_ORACLES=0: other engines are not built")
    program = folder / name
    command: list[str | Path] = [go, "build", "-p", "1", "-buildvcs=false", "-o", program, "."]
    if nice := shutil.which("nice"):
        command.insert(0, nice)
    try:
        subprocess.run(
            command,
            cwd=Path(__file__).parent / name,
            check=True,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the other engine was not built within {_BUILD_SECONDS} s")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the other engine cannot be built here (no module proxy?): {error.stderr.strip()[-300:]}")
    return program


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
