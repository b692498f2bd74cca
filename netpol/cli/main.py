"""The `netpol` program: its commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Final

import typer

from netpol.cli.text import plain
from netpol.errors import NetpolError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: Final = {
    "learn": "netpol.cli.learn:learn",
    "flows": "netpol.cli.flows:flows",
    "egress": "netpol.cli.egress:egress",
    "graph": "netpol.cli.graph:graph",
    "view": "netpol.cli.view:view",
    "list": "netpol.cli.list:list_",
    "explain": "netpol.cli.explain:explain",
    "why": "netpol.cli.why:why",
    "diff": "netpol.cli.diff:diff",
    "check": "netpol.cli.check:check",
    "lint": "netpol.cli.lint:lint",
    "review": "netpol.cli.review:review",
    "snapshot": "netpol.cli.snapshot:snapshot",
    "dataset": "netpol.cli.dataset:dataset",
    "agent": "netpol.cli.agent:agent",
    "hub": "netpol.cli.hub:hub",
    "status": "netpol.cli.status:status",
    "deploy": "netpol.cli.deploy:deploy",
}
"""Command to module and function, in the order in which help lists them."""


def program(words: Sequence[str] = ()) -> typer.Typer:
    """The program with the command that `words` begin with; with all commands where they begin with none.

    Every command that is not there is one that need not be imported and described to the parser, at every start.
    """
    app = typer.Typer(
        name="netpol",
        help="Learn least-privilege Kubernetes NetworkPolicies from the traffic that workloads really exchange.",
        epilog="A CAPTURE is a pcap or pcapng file (also .gz, .zst), a flow log, a dataset, a folder of them, "
        "a hub (hub://...), or - for standard input.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",  # paragraphs flow; nothing in the help is markup
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_netpol)
    chosen = words[0] if words and words[0] in COMMANDS else None
    for name, place in COMMANDS.items():
        if chosen in {None, name}:
            module, function = place.split(":")
            found = getattr(import_module(module), function)
            if isinstance(found, typer.Typer):
                app.add_typer(found, name=name)
            else:
                app.command(name)(found)
    return app


def _version(wanted: bool) -> None:  # noqa: FBT001 - the shape of an option callback
    if wanted:
        from netpol.cli.version import installed_version

        sys.stdout.write(f"netpol {installed_version() or 'of a source tree that is not installed: no version'}\n")
        raise typer.Exit


def _netpol(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run one command. Exit codes: 0 fine, 1 differences or denied flows, 2 wrong usage or input, 3 no cluster."""
    # netpol does no linear algebra: threads for it would cost more than reading a small capture.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A command builds much, throws little away, and ends: to search millions of parsed objects for cycles again and
    # again would cost a fifth of its time.
    gc.disable()
    try:
        program(sys.argv[1:])()
    except NetpolError as error:
        sys.stderr.write(f"netpol: {plain(str(error), keep_lines=True)}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader (head, less) left: what is still buffered has nowhere to go, at interpreter exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # The end of the process frees everything: no need for the last search either. But duckdb looks for leaks then,
        # and would take all that is frozen for some.
        if "duckdb" not in sys.modules:
            gc.freeze()
