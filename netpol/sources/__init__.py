"""Flow logs to partial connections and flows: takes what others recorded, yields what `netpol.flows.assemble` takes.

`read.read_log(log, tally)` is the stage; `kinds` tells by content which log a file is. One module a format says what
each field means and what the log does not tell: `hubble` (Cilium), `zeek`, `conntrack`, `calico`, `inspektor`, `vpc`
(AWS), `verdicts` (GKE and AWS). What a log does not tell stays unknown: no outcome, direction or count is made up.

    lines     bounded lines of a file       times     RFC 3339 and epochs to nanoseconds
    objects   JSON of several lines         people    whom a log means that names pods
    parsers   a line to what it says        builder   that to the records and rows of `netpol.flows`
    tally     what became of each record    name_evidence   and to what `netpol.names` takes
"""
