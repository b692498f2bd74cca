"""Synthetic cluster traffic: takes a seed and a number of packets, yields capture bytes and the truth about them.

`plan` decides which connections there are, `packets` turns them into packets, `frames` turns packets into bytes on a
link, `containers` wraps those into capture records. Nothing here imports netpol: what the generator says about its own
file is an oracle that is independent of the code under test.
"""
