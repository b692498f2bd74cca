"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# How long an example takes, and how long it takes to make one, says something about the machine and nothing about the
# code. Where CI is set, this comes on top of hypothesis' own profile, in which no example depends on chance.
settings.register_profile("netpol", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("netpol")
