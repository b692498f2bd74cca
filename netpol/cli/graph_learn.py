"""graph.html of `learn -d`: what was seen, as the policies will judge it once those that were learned are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netpol.errors import UsageError
from netpol.view.assemble import Judging, assemble
from netpol.view.outside_names import outside_names
from netpol.view.page import page_pieces

if TYPE_CHECKING:
    from netpol.cli.learning import Learned
    from netpol.cli.review_learn import Change


def page_of_learned(result: Learned, change: Change) -> str:
    """The page; empty where this installation cannot make one, which is said."""
    from netpol.cli.observe import note

    material = result.material
    if material.gatherer is None:
        return ""
    inventory, observations = material.cluster.inventory, material.admission.observations
    names = outside_names(observations, material.names, inventory) if material.names else None
    judging = Judging(policies=change.new, by="learned", old=change.old or None)
    try:
        graph = assemble(material.gatherer, material.admission, inventory, judging, names)
        return "".join(page_pieces(graph))
    except UsageError as error:
        note(f"graph.html is not written: {error}")
        return ""
