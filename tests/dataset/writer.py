"""A process that adds windows to a dataset and says so: `python writer.py DIR SPOOL FROM TO [work]`.

Prints the identity of each window once it is durable. With `work` it also puts files together and adds hours up.
"""

from __future__ import annotations

import sys
from pathlib import Path

from netpol.dataset.bucket import place_of
from netpol.dataset.folder import Dataset
from netpol.dataset.window_codec import read_window


def main() -> None:
    spool, begin, end = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    dataset = Dataset.create(place_of(sys.argv[1]))
    files = sorted(spool.iterdir())[begin:end]
    for at in range(0, len(files), 3):
        windows = [read_window(file.read_bytes(), file.name) for file in files[at : at + 3]]
        dataset.append(windows)
        for window in windows:
            sys.stdout.write(f"{window.identity}\n")
        sys.stdout.flush()
        if sys.argv[5:] and at % 2:
            dataset.compact()
            dataset.roll_up(dataset.hours()[-2] if len(dataset.hours()) > 1 else 0)
    sys.stdout.write("done\n")


main()
