"""Resolved flows to the graph of workloads.

Takes the resolved flows and the inventory, yields an `Admission` (what may be learned, and why the rest may not) and
from it a `LabelGraph`: workloads, outside addresses and nodes, with the evidence of every edge between them.
`Selectors` says how a workload is named by its labels. This is the only stage that imports networkx.
"""
