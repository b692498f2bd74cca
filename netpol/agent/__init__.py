"""Learn mode in the cluster: takes packets on every node, yields one dataset and beside it the cluster's history.

`run.Agent` is the agent of a node: it takes live packets, yields windows into a folder and from there to the hub.

    recorder     packets to windows, in bounded memory       streams     payload that only sequence numbers tell of
    handshakes   which were completed                        interfaces  which there are, as pods come and go
    spool        windows in a bounded folder, each once      sender      from there to the hub
    conntrack    what was open before the agent came         alive       how probes see that it runs

`hub` takes the windows of all nodes and keeps them.
"""
