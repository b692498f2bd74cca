"""Learn mode in the cluster: takes packets on every node, yields one dataset and beside it the cluster's history."""
