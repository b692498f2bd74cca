from __future__ import annotations

import re
from pathlib import Path

import yaml

from netpol.cluster.kinds import CONFIGS
from netpol.cluster.rights import READ, TOKEN_REVIEWS, cluster_rules, hub_rules
from netpol.cluster.watch import WATCHED


def granted(rules: list[dict[str, list[str]]], verb: str) -> set[tuple[str, str]]:
    return {
        (group, resource)
        for rule in rules
        if verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_what_is_watched_may_be_watched_and_nothing_else() -> None:
    asked = {(kind.group, kind.resource) for kind in WATCHED}
    assert granted(cluster_rules(), "list") == granted(cluster_rules(), "watch") == asked
    assert {verb for rule in cluster_rules() for verb in rule["verbs"]} == {"list", "watch", "get"}
    assert granted(cluster_rules(), "get") == {("", "configmaps")}
    (config,) = (rule for rule in cluster_rules() if "get" in rule["verbs"])
    assert config["resourceNames"] == list(CONFIGS)


def test_the_hub_reviews_tokens_too() -> None:
    assert hub_rules() == [*cluster_rules(), TOKEN_REVIEWS]
    assert granted(hub_rules(), "create") == {("authentication.k8s.io", "tokenreviews")}


def test_the_readme_grants_the_same_to_who_reads_once() -> None:
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n([^`]*?name: netpol-snapshot[^`]*)```", readme)
    rules = yaml.safe_load(text)["rules"]
    for verb in ("list", "get", "watch", "create"):
        assert granted(rules, verb) == granted(cluster_rules(READ), verb)
