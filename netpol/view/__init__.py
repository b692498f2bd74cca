"""The flow graph to look at: what was seen, what a policy set makes of it, and what it allows that nobody used.

Takes the resolved flows (through `admit`'s watcher), the admission and a policy set; yields a `FlowGraph`, one value
that every picture is drawn from: JSON (the shape of the viewer and of reports), GraphML, GEXF, Cytoscape, DOT, Mermaid,
CSV and a tree for the terminal. Renderers return text; each escapes names for its own medium.
"""
