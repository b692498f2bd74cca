"""Bytes to packets: takes capture files, folders and standard input, yields columns of decoded packets.

`read.read_packets(paths, tally)` is the one entry: it yields `packets.PacketBatch` and `packets.Unreachables` in
capture order and leaves every count that a person needs to trust them in `packets.Tally`.

    sources      finds the inputs and tells them apart by content     compressed   gzip and zstd in bounded steps
    pcap, pcapng containers: bytes to `records.Records`               lanes        where the records are, in lock step
    link         link layers to the network layer                     network      IPv4, IPv6, extension headers
    transport    TCP, UDP, SCTP, ICMP to columns                      tunnels      VXLAN, Geneve, GRE, IP in IP
    fragments    later fragments get the ports of their first         unreachable  what ICMP errors quote
    decode       one block of records through all of the above        read         several captures merged by time

Live packets come out of a packet socket's ring, as records like those of a file:

    live_ring    the socket and its memory         live_blocks  a block of it, as records
    live_filter  which packets the kernel hands over: a program that `bpf` assembles (live_transport, live_tunnels)

Where names are asked for, `name_reader` picks the packets that may carry some (`name_segments`) and hands what they say
to a `name_evidence.NameSink`:

    name_dns_block  DNS answers, many at once (name_dns_walk)         name_dns      one at a time: the definition
    name_greetings  ClientHellos and requests over packets            name_tls, name_quic, name_http   what they say
    name_streams    TCP in order        name_conversations  DNS over TCP      name_fragments  fragmented answers
"""
