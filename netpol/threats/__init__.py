"""What must never be allowed: takes feeds of hostile addresses and names, yields what of the traffic they name.

`lists.load` reads one file, whose format it tells by its content; `lines`, `tables` and `stix` read the formats,
`values` says what one entry may be, `addresses` and `domains` hold millions of them and answer which one matches.
`screen` asks about flows: what it finds is never learned. `sightings` listens to names that were asked for, whether or
not anybody connected. `sensitive` tells who read cloud metadata or spoke to a kubelet. `guard.Guard` is the stage: it
decides by all of them what is not learned, and what is allowed by its addresses only.
"""
