"""The hub: takes windows from the agents of all nodes, keeps them as a dataset, and yields it to readers.

A window goes through `serving` (connections), `app` (requests), `callers` (who asks), `intake` (validated, durable,
acknowledged) into the inbox, and from there by `keeper` into the dataset. `state` remembers which windows were taken,
so that each is kept once. `hub` wires them together.
"""
