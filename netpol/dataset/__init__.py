"""What observers recorded, in files: takes partial connections and names as nodes saw them, yields them to any command.

`window.Window` is what one observer saw in one minute; `window_codec` writes it down and reads it back, from whoever
sent it. `folder.Dataset` keeps windows in a folder or a bucket that many may write to and read from at once, without a
lock; `captures.read_captures` reads packets, windows, datasets and flows as one sequence. `merging.merged` adds all of
these to a dataset: `recorder` makes windows of packets, `telling` hours added up of flow logs.

`place.Place` is all that the rest knows of where files lie: in a folder (`place.Folder`), or below the prefix
`s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX` (`bucket.Bucket`). Whoever reads files in another way asks
`Dataset.hour` which they are, and `Dataset.paths` for where they can be read on this machine.

The format, version 1
=====================

A dataset is a folder, or the objects of a bucket whose names begin alike, with a file `dataset.json`, `{"format":
"netpol-dataset", "version": 1}`, and Parquet files (zstd) that anything can read:
`TABLE/date=YYYY-MM-DD/hour=HH/NAME.parquet`, the hour in UTC in which a window began. A window lies in one file each of
`windows`, `connections` and `names`, of the same NAME. `flows` has hours added up.

Whoever only wants to know who talked to whom reads `flows`: with duckdb,
`SELECT client, server, protocol, port, sum(connections) FROM 'DIR/flows/**/*.parquet' GROUP BY ALL`; with pandas,
`pandas.read_parquet("DIR/flows")`; with Spark, `spark.read.parquet("DIR/flows")`.

Rules for readers of the other tables. Files appear as a whole, by renaming, and never change; in a bucket, as one
object, that is there when all of it is (PUT, or the end of an upload in parts), and is listed from then on. A file of
`windows` is the last of its NAME to appear, and the first to go: without it, the others of its NAME are not to be
read. Its footer has the key `netpol`, a JSON object: `version`; `replaces`, the NAMEs in the same hour that are not to
be read beside it, because its windows include theirs; `rollup`, whether its windows are added up in `flows`; `behind`,
the NAMEs of the hour before whose `carry` went into it. A window that lies in several files counts once. Windows that
a rollup has are not to be read in `connections` beside it. A rollup of flow logs, which have no windows, is `told` in
its footer: it stands beside all others, and no hour is `behind` it. It has one row in `windows` for what a file told
of the hour, and in its footer `logs`: for each kind of log its `kind`, and how many of its records were `read`,
`used`, `unplaced` because they do not say who is at one end, and `broken`, of which `places` names the first.

Nanoseconds are signed, since the Unix epoch, UTC. Addresses in `connections`, `names` and `carry` are two unsigned
64-bit words: in `names` those of an IPv6 address, IPv4 ones IPv4-mapped (::ffff:a.b.c.d); elsewhere those of an IPv6
address or, where `family` is 4, 0 and the 32-bit number of an IPv4 address.

windows: one row a window, in rollups one row for windows of a run whose numbers follow each other.
    observer VARCHAR            The node's name.
    run VARCHAR                 32 hexadecimal digits, drawn when the observer started; of captures, from their content.
    number BIGINT               Of the (first) window within the run, from 0. A gap is a window that is missing.
    windows BIGINT              How many windows the row is about.
    begin, end BIGINT           Nanoseconds; the end is exclusive.
    packets BIGINT              That the observer read for it.
    records BIGINT              Rows in `connections`.
    kernel BIGINT               Packets lost because the kernel had no room.
    evicted BIGINT              Partial connections lost because the observer had none.
    undecodable VARCHAR         JSON: packets that could not be decoded, by reason; empty where there are none.
    lost_windows BIGINT         Windows that the observer gave up since the one before, because its disk was full.
    lost_records BIGINT         Partial connections in those.
    interfaces BIGINT           Network interfaces observed at its end.
    version VARCHAR             Of netpol at the observer.

connections: one row for the packets of one 5-tuple in one window, or of one connection among them.
    window VARCHAR              RUN-NUMBER, eight digits or more.
    observer VARCHAR, begin BIGINT  As in `windows`.
    low_high, low UBIGINT       The address of the low end: that with the smaller (address, port).
    high_high, high UBIGINT     The address of the high end.
    low_port, high_port USMALLINT  0 for protocols without ports; for ICMP see `netpol.flows.views`.
    first, last BIGINT          Nanoseconds of the first and the last packet.
    anchor BIGINT               Nanoseconds of the last SYN or SYN-ACK, NULL where there is none.
    syn, synack BIGINT          Nanoseconds of the first of each, NULL where there is none.
    packets, bytes BIGINT       That the observer's filter let through, and what sequence numbers tell of the payload.
    client_isn, server_isn UINTEGER  Initial sequence numbers (TCP), initiate tags (SCTP), 0 where they are not known.
    events USMALLINT            Bits of what the low end sent, and eight bits above, of what the high end sent: 1
                                anything, 2 ACK, 4 payload, 8 RST, 16 FIN, 32 SYN, 64 SYN-ACK, 128 quoted in an ICMP
                                unreachable.
    family, protocol UTINYINT   4 or 6; IP protocol number.
    side UTINYINT               Who opened it by SYN or SYN-ACK: 0 the low end, 1 the high end, 2 neither.
    opened_high BOOLEAN         The high end sent the first packet.
    early BOOLEAN               Closed because of a limit.
    tracked BOOLEAN             The observer kept track of connections: `opened_high` tells who opened it.

names: one row for each thing that was seen of names in a window, in rollups in an hour (window and observer NULL).
    window, observer VARCHAR, begin BIGINT  As in `connections`.
    kind VARCHAR                answer: DNS led the client to the server by the name, valid from first to last, grace
                                included; greeting: a TLS, QUIC or HTTP request of the client named the server so, name
                                NULL where it named none; asked, answered, empty, no name, failed: DNS messages of the
                                client; hidden: the client asked the server for names so that nobody can read it, name
                                says how; count: name says what was counted; rejected: names that are no host names;
                                sample: one of them, in hexadecimal; answers forgotten, greetings forgotten: for want of
                                room.
    client_high, client, server_high, server UBIGINT
    name VARCHAR                Host name in lower case, ASCII.
    door UINTEGER               greeting: traits << 24 | IP protocol number << 16 | port; hidden: IP protocol number.
    first, last BIGINT          Nanoseconds.
    count UBIGINT               How often.

flows: one row per hour, client, server, protocol, port and outcome, and where addresses changed hands per owner.
    client, server VARCHAR      Addresses as text. Where direction is unknown, in the order of their values.
    protocol VARCHAR            TCP, UDP, SCTP, ICMP, ICMPv6, or the IP protocol number.
    port USMALLINT              The server's; NULL for protocols without ports, and where direction is unknown.
    connections BIGINT          Connections that count in this hour: those whose first row this is. A connection that
                                goes on in later hours has rows there with its packets, and counts 0. One that begins in
                                the last two minutes of an hour counts in the next.
    packets, bytes BIGINT       In this hour, of all views of the connections.
    first_seen, last_seen TIMESTAMP  UTC, microseconds.
    outcome VARCHAR             established, refused, unanswered, midstream, unknown: what became of it by then.
    direction VARCHAR           The evidence for who is the client; see the README.
    two_way BOOLEAN             Payload went both ways, by then.
    minutes BIGINT              Bit n: there were packets in minute n of the hour. bit_or adds up, bit_count counts.
    source, destination VARCHAR  namespace/name[Kind] and the like; NULL without a cluster.
`netpol flows -o parquet` writes the same columns to one file, but for minutes, and source and destination only with
--cluster; with `-d` it writes all of a dataset.

carry: the columns of `connections` from low_high on: connections that may go on after the hour, view by view, and
    told UTINYINT               0: counts in no hour yet, and its packets are in no row; else 1 plus the number of the
                                outcome (0 established, 1 refused, 2 unanswered, 3 midstream, 4
                                unknown) under which it counted.
Who adds hours up and connections together needs it; `netpol.flows.rolling` says how.
"""
