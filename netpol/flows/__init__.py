"""Packets to flows: takes batches of packets, or partial connections, yields one sorted table of flows.

`assemble(items, knowledge=..., limits=...)` in `netpol.flows.assemble` is the stage. Inside it, in order: `pieces`
reduces a batch to partial connections, `connections` joins the pieces of one connection and lets go of those that
are over, `views` folds what was captured at several points into one, `evidence` finds outcome and direction, `rows`
adds connections up, `table` holds the result.
"""
