"""Takes the label graph, yields policies; takes policies and an inventory, yields verdicts."""
