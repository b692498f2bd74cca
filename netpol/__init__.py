"""Learns least-privilege Kubernetes NetworkPolicies from observed traffic.

Captures become packets (`capture`), packets become flows (`flows`), flows get identities (`cluster`), identities form a
label graph (`graph`), the graph becomes policies that are judged (`policy`) and written (`dialects`). `cli` wires them.
"""
