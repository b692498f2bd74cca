"""What a cluster can tell the assembly of flows, in arrays, so that a million flows cost one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Knowledge(Protocol):
    """Addresses are uint64[n, 2] (high and low half; IPv4 is (0, value)), `family` is uint8[n] of 4 and 6."""

    def declared(
        self,
        family: NDArray[np.uint8],
        address: NDArray[np.uint64],
        protocol: NDArray[np.uint8],
        port: NDArray[np.uint16],
    ) -> NDArray[np.bool_]:
        """bool[n]: a container, Service, EndpointSlice or, on a node, a nodePort says that it listens there."""
        ...

    def virtual(self, family: NDArray[np.uint8], address: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """bool[n]: the address is a Service's: a ClusterIP, a load balancer's address or an external IP."""
        ...

    def pods(self, family: NDArray[np.uint8], address: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """bool[n]: pods alone ever held the address."""
        ...

    def tenancies(
        self,
        family: NDArray[np.uint8],
        address: NDArray[np.uint64],
        first: NDArray[np.int64],
        last: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        """int32[n]: who held the address from `first` to `last`: an index, NO_TENANCY or AMBIGUOUS_TENANCY."""
        ...
