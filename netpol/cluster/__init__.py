"""What the cluster looked like, and when.

Takes manifests, `kubectl get` lists, snapshots or the live API; yields an Inventory (`manifests.load`,
`live.load_live`), the Timeline of who held which address when (`timeline.Timeline`), and flows with a name at each end
(`resolve.resolve`).
"""
