"""From records to the label graph's edges, by one SQL text: takes datasets and who held which address, yields flows.

`edges.sql` is the text. It joins the partial connections of `netpol.dataset`, folds what several nodes saw of one
connection, decides outcome and direction, looks every end up in the tenancies of its address by an interval join, and
adds up what is alike, all in the engine, so that nothing has to pass through one process first: `duck` runs it in this
process, `spark` the same text unchanged wherever Spark runs. Every aggregate in it can be merged (sums, minima, maxima,
bits, counts), so that an engine may add up any part of the data anywhere; window functions, which put the records of
one 5-tuple or the views of one handshake in order, are partitioned by these.

`run.flow_table` gives the table that `netpol.flows.assemble` would make of the same records. What an end is called is
data: with the index of a tenancy as its label, ends are pods; with a number from 2^32 on that stands for a workload,
they are workloads, whatever their addresses. The tables that the text is given:

connections, carried, flows     Files of a dataset, see `netpol.dataset`.
tenancy (place, since, until, met_from, met_until, label)   Who held an address: `tables.spans` tells how it is read.
service, pod (place)            Addresses that are a Service's; that pods alone ever held.
declared (protocol, tip)        Ends that the cluster's objects declare.
six (high, low, id, multicast), address (text, id), word (kind, text, number)   Numbers of addresses and words.

Where it differs from `netpol.flows.assemble`, which follows connections one after the other: it looks at everything at
once, so no connection is closed early for want of room; of a connection that ended and whose 5-tuple went on without a
SYN, the second and later silences look no further back than the last; and views of handshakes with made up sequence
numbers are told apart by their clients' ends only.
"""
