"""What leaves the cluster: takes what was admitted and the names behind addresses, yields what each workload needs.

`needs.needs_of` is the stage. `naming` says what it asks about names, `sharing` divides the connections to one address
among the names that led there, `places` tells what belongs to the cluster or the platform below it and is no need,
`attempts` keeps what was tried outside and is not learned, `wildcards` finds the patterns that may stand for many
names, `selection` says whose needs are asked for. How allowlists spell all that is the business of the dialects.
"""
