"""Takes the cluster's objects, raw; yields the text of a snapshot: one List that `--cluster` reads as it read them.

JSON, because that is read several times as fast as YAML and is YAML too. One object a line, sorted, so that two
snapshots can be laid side by side with diff.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from netpol.cluster.documents import SCOPE_ANNOTATION, TAKEN_ANNOTATION
from netpol.cluster.networks import SYSTEM_NAMESPACE
from netpol.cluster.snapshot_fields import KEPT, KEPT_OF_CONFIGS, KEPT_OF_SYSTEM_PODS
from netpol.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netpol.cluster.documents import Document
    from netpol.cluster.snapshot_fields import Keep

START: Final = f'{{"apiVersion":"v1","kind":"List","metadata":{{"annotations":{{"{TAKEN_ANNOTATION}":'
"""How the text of every snapshot begins."""

_ORDER: Final = {kind: place for place, kind in enumerate((*KEPT, ("ConfigMap", "")))}


def snapshot_objects(documents: Iterable[Document]) -> list[dict[str, Any]]:
    """What a snapshot keeps of the objects, in its order: by kind, namespace, name and uid.

    Objects of other kinds are left out, and so are those without a name, which do not exist yet.

    Raises:
        InputError: A ConfigMap that states the cluster's ranges is not YAML; `where` has the document's place.
    """
    found = []
    for document in documents:
        try:
            kept = kept_of(document.data)
        except InputError as error:
            raise error.inside(*document.place) from None
        if kept is not None:
            found.append(kept)
    # The text comes last, so that the order does not depend on that of the documents even where one is there twice.
    found.sort(key=lambda item: (*_place(item), line_of(item)))
    return found


def snapshot_text(objects: Iterable[dict[str, Any]], taken: str, scope: str) -> Iterator[str]:
    """The lines of a snapshot.

    Args:
        objects: What `snapshot_objects` kept.
        taken: When the objects were read (RFC 3339).
        scope: The namespaces that are in it completely, joined by commas; `*` for the whole cluster; empty where
            something is missing.
    """
    yield f'{START}{json.dumps(taken)},"{SCOPE_ANNOTATION}":{json.dumps(scope)}}}}},"items":['
    separator = "\n"
    for item in objects:
        yield separator + line_of(item)
        separator = ",\n"
    yield "\n]}\n"


def kept_of(data: dict[str, Any]) -> dict[str, Any] | None:
    """What a snapshot keeps of one object; None for one of another kind, or without a name.

    Raises:
        InputError: A ConfigMap that states the cluster's ranges is not YAML.
    """
    kind, version = data.get("kind"), data.get("apiVersion")
    metadata = data.get("metadata")
    if not isinstance(kind, str) or not isinstance(version, str) or not isinstance(metadata, dict):
        return None
    keep = _keep(kind, version.rpartition("/")[0], metadata)
    kept = keep(data) if keep is not None and metadata.get("name") else None
    return {"apiVersion": version, "kind": kind, **kept} if kept is not None else None


def _keep(kind: str, group: str, metadata: dict[str, Any]) -> Keep | None:
    namespace, name = metadata.get("namespace"), metadata.get("name")
    if (kind, group) == ("ConfigMap", ""):
        return KEPT_OF_CONFIGS.get((str(namespace), str(name)))
    if (kind, group) == ("Pod", "") and namespace == SYSTEM_NAMESPACE:
        return KEPT_OF_SYSTEM_PODS
    return KEPT.get((kind, group))


def _place(item: dict[str, Any]) -> tuple[int, str, str, str]:
    metadata = item.get("metadata", {})
    namespace, name, uid = (str(metadata.get(field, "")) for field in ("namespace", "name", "uid"))
    return _ORDER[item["kind"], item["apiVersion"].rpartition("/")[0]], namespace, name, uid


def line_of(item: dict[str, Any]) -> str:
    """An object's text: ASCII, so that nothing in a name or label can act on a terminal or break a line."""
    return json.dumps(item, sort_keys=True, separators=(",", ":"))
