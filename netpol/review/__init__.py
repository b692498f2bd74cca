"""Takes policies as they were written and the cluster; yields findings, and the reasons behind one verdict."""
