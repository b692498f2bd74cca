"""Evidence to names: takes DNS answers and greetings while captures are read, yields the names behind an address.

`table.Names` is the stage: it is given to `netpol.capture.read.read_packets` as its receiver, and is asked afterwards
with `Names.towards`. `spans` is the bounded columnar store that it keeps, `texts` turns names of the wire into host
names, `found` is what it answers, `hidden` knows the ways by which clients hide what they ask for.
"""
