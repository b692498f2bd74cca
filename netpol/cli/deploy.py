"""`netpol deploy`: the manifests of learn mode."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from netpol.cli import options

if TYPE_CHECKING:
    from netpol.agent.deploy_settings import Settings


class Output(StrEnum):
    """What is printed."""

    YAML = "yaml"


class Certificate(StrEnum):
    """Where the hub's certificate comes from."""

    SECRET = "secret"  # noqa: S105 - a word of the command line
    NEW = "new"
    CERT_MANAGER = "cert-manager"


class Enforcer(StrEnum):
    """What enforces the policies for netpol's own pods."""

    KUBERNETES = "kubernetes"
    CILIUM = "cilium"


_REPOSITORY: Final = "netpol"


def deploy(
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", metavar="NAME", help="Where netpol runs: a namespace of its own.")
    ] = "netpol",
    image: Annotated[
        str,
        typer.Option(
            "--image",
            metavar="IMAGE",
            help="What netpol/agent/Dockerfile was built into, where the nodes pull from. By default netpol with "
            "this version, from no registry.",
            show_default=False,
        ),
    ] = "",
    duration: Annotated[
        str,
        typer.Option("--duration", metavar="TIME", help="Agents stop recording by themselves: 168h, 7d; 0 for never."),
    ] = "168h",
    run: Annotated[
        str,
        typer.Option(
            "--run",
            metavar="NAME",
            help="Another recording in a namespace where one has ended: --duration counts from an agent's first start "
            "on its node in a run.",
            show_default=False,
        ),
    ] = "",
    interfaces: Annotated[
        list[str] | None,
        typer.Option(
            "--interfaces", metavar="NAME", help="Record on this interface only. Repeatable.", show_default=False
        ),
    ] = None,
    spool: Annotated[
        str, typer.Option("--spool", metavar="SIZE", help="What an agent keeps on its node while the hub is away.")
    ] = "1Gi",
    storage: Annotated[str, typer.Option("--storage", metavar="SIZE", help="The hub's volume.")] = "20Gi",
    storage_class: Annotated[
        str,
        typer.Option(
            "--storage-class", metavar="NAME", help="Of the volume; without it the cluster's own.", show_default=False
        ),
    ] = "",
    retention: Annotated[
        str, typer.Option("--retention", metavar="TIME", help="How long the hub keeps anything: 90d.")
    ] = "90d",
    tls: Annotated[
        Certificate,
        typer.Option(
            "--tls",
            help="The hub's certificate. secret: it is in the cluster already. new: print one that was made now, with "
            "its private key. cert-manager: let that make and renew it.",
        ),
    ] = Certificate.SECRET,
    nodes: Annotated[
        list[str] | None,
        typer.Option(
            "--nodes",
            metavar="CIDR",
            help="The network that the nodes' addresses are of, so that the hub's policy holds for nodes to come. "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
    api_server: Annotated[
        list[str] | None,
        typer.Option(
            "--api-server",
            metavar="ADDRESS:PORT",
            help="Where the API server itself listens, behind its Service; a CIDR in the place of the address if it "
            "moves. Repeatable.",
            show_default=False,
        ),
    ] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option(
            "--cluster",
            metavar="PATH",
            help="Snapshots or manifests with nodes and the Service default/kubernetes. Without them the live cluster "
            "is asked for what --nodes and --api-server leave open; `none` for no policies.",
            show_default=False,
        ),
    ] = None,
    dialect: Annotated[
        Enforcer,
        typer.Option(
            "--dialect",
            help="The policies for netpol's own pods: cilium where Cilium enforces, for which no address "
            "block stands for nodes.",
        ),
    ] = Enforcer.KUBERNETES,
    output: Annotated[Output, typer.Option("-o", "--output", help="One stream on stdout.")] = Output.YAML,
    directory: Annotated[
        Path | None,
        typer.Option(
            "-d", "--directory", metavar="DIR", help="Write a kustomization there instead.", show_default=False
        ),
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print the manifests of learn mode, for kubectl apply.

    An agent on every node records who talks to whom, and sends it to one hub, which keeps it. Nothing is changed in the
    cluster by this command, and what it prints is the same in every run, unless it is asked for a new certificate.

    The policies for netpol's own pods are netpol's: they admit the nodes and the API server to the hub, and the hub to
    the API server.
    """
    from netpol.agent.deploy import parts, stream
    from netpol.agent.deploy_settings import Settings, Tls
    from netpol.cli.deploy_output import refuse_to_show, write_folder
    from netpol.cli.deploy_policies import Place, policies_for

    del output  # there is one
    settings = Settings(
        image=image or _default_image(),
        namespace=namespace,
        duration="" if duration == "0" else duration,
        run=run,
        interfaces=tuple(dict.fromkeys(interfaces or ())),
        spool=spool,
        storage=storage,
        storage_class=storage_class,
        retention=retention,
        tls=Tls(tls.value),
    )
    refuse_to_show(settings, directory)
    place = Place(
        nodes=nodes or [],
        api_servers=api_server or [],
        cluster=cluster or [],
        context=context,
        kubeconfig=kubeconfig,
        cilium=dialect is Enforcer.CILIUM,
    )
    found = parts(settings, policies_for(settings, place))
    if directory is None:
        sys.stdout.write(stream(found))
    else:
        write_folder(directory, found)
    _tell(settings, own_image=not image)


def _default_image() -> str:
    from importlib.metadata import version

    return f"{_REPOSITORY}:{version('netpol-learn')}"


def _tell(settings: Settings, *, own_image: bool) -> None:
    """What the manifests need beside them."""
    from netpol.agent.deploy_settings import HUB_CA, HUB_TLS, Tls
    from netpol.cli.observe import note

    if own_image:
        note(f"{settings.image} is in no registry: build netpol/agent/Dockerfile, push it, and name it with --image")
    if settings.tls is Tls.SECRET:
        note(
            f"the pods wait for Secret {HUB_TLS} (tls.crt, tls.key) and ConfigMap {HUB_CA} (ca.crt) in namespace "
            f"{settings.namespace}: --tls new makes them, once"
        )
    elif settings.tls is Tls.NEW:
        from netpol.agent.deploy_certificate import DAYS

        note(f"the hub's certificate holds for {DAYS} days; its private key is in the output and nowhere else")
