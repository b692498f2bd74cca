"""Takes what workloads need outside the cluster, yields allowlists for what enforces them, and what they cannot say.

`formats.FORMATS` is the table of them and `formats.files` writes all. Each is a pure function of the needs and of
`values.Options`: its text has no times and no counts, so that a difference in git is a difference in what is allowed.

What every format does alike: a name is written where it is graded strong or medium. An ambiguous name is never written
as allowed, since the connection may have been for another; its addresses are, where the format has addresses. A need
that the format has no words for is left out with a remark, and so is every port that it drops.
"""
