"""What the keeper finds in the inbox of a hub that ended at a bad moment, or on a bad disk."""

from __future__ import annotations

from pathlib import Path

from netpol.dataset.folder import Dataset
from tests.agent.hub import processes
from tests.agent.hub.test_library import wait_until_kept
from tests.agent.hub.windows import MINUTE, body, this_minute, window

HOUR = 60 * MINUTE


def filled(folder: Path, *windows: tuple[str, bytes]) -> None:
    """An inbox as a hub leaves it that is killed."""
    (folder / "inbox").mkdir(parents=True)
    for identity, data in windows:
        (folder / "inbox" / f"{identity}.window").write_bytes(data)


def test_a_window_that_nobody_remembers_is_kept_and_known(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    identity, data = body(connections=4)
    # As after a crash between the file and the note of it: nobody was told that it is here.
    filled(folder, (identity, data))
    (folder / "inbox" / f".{identity[:-1]}9.window.part").write_bytes(data[:10])
    with processes.hub(folder, "--batch-seconds", "1") as hub:
        wait_until_kept(hub)
        assert hub.send(identity, data).json == {"stored": False}
        (node,) = hub.get("/v1/status").json["nodes"]
        assert (node["windows"], node["records"]) == (1, 4)
    assert list(Dataset.open(folder).identities()) == [identity]
    assert list((folder / "inbox").iterdir()) == []


def test_what_cannot_be_read_any_more_is_put_aside_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    windows = [body(number=number) for number in range(3)]
    filled(folder, *windows)
    damaged = folder / "inbox" / f"{windows[1][0]}.window"
    damaged.write_bytes(windows[1][1][:-20])
    with processes.hub(folder, "--batch-seconds", "1") as hub:
        wait_until_kept(hub)
        hub.wait_for_metric("netpol_hub_windows_set_aside_total 1.0")
        (line,) = hub.said("a window that was acknowledged cannot be read any more")
        assert line["window"] == windows[1][0]
    assert [path.name for path in (folder / "unreadable").iterdir()] == [damaged.name]
    assert set(Dataset.open(folder).identities()) == {windows[0][0], windows[2][0]}


def test_one_hour_that_cannot_be_written_does_not_hold_up_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    begin = this_minute() // HOUR * HOUR - 5 * HOUR
    windows = [body(number=number, begin=begin + number * HOUR) for number in range(3)]
    filled(folder, *windows)
    # A file in the place of the folder of the second hour.
    Dataset.create(tmp_path / "other").append([window(number=1, begin=begin + HOUR)])
    (path,) = (tmp_path / "other" / "windows").glob("date=*/hour=*")
    blocked = folder / path.relative_to(tmp_path / "other")
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_bytes(b"")
    with processes.hub(folder, "--batch-seconds", "1") as hub:
        hub.wait_for_metric("netpol_hub_inbox_windows 1.0")
        assert hub.said("the dataset: move failed")
        assert hub.get("/healthz").status == 200
        blocked.unlink()
        wait_until_kept(hub)
    assert set(Dataset.open(folder).identities()) == {identity for identity, _ in windows}
