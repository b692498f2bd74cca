"""Proxies, packet filters and AWS's own clients accept what is written for them, and mean by it what was meant."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netpol.dialects.allowlists.formats import FORMATS
from netpol.model.prefixes import Bound
from tests.dialects.allowlists.consumers import envoy, in_namespace, program
from tests.dialects.allowlists.scene import DB, NEEDS, OPTIONS, WEB, need

if TYPE_CHECKING:
    from netpol.dialects.allowlists.values import Options

WIDE = replace(OPTIONS, bound=Bound(max_prefixes=1))
NO_SOURCES = replace(OPTIONS, sources={})
BOUNDS = pytest.mark.parametrize("options", [OPTIONS, WIDE, NO_SOURCES], ids=["exact", "bounded", "no sources"])


def written(name: str, options: Options = OPTIONS) -> str:
    return FORMATS[name].write(NEEDS, options).text


@BOUNDS
def test_squid_parses_its_access_lists(options: Options, tmp_path: Path) -> None:
    squid = program("squid")
    (tmp_path / "netpol.conf").write_text(written("squid", options))
    (tmp_path / "squid.conf").write_text(
        f"http_port 3128\ninclude {tmp_path}/netpol.conf\nhttp_access deny all\npid_filename none\n"
    )
    done = subprocess.run(
        [squid, "-k", "parse", "-f", str(tmp_path / "squid.conf")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if re.search("warning|error|fatal", line, re.IGNORECASE)]
    assert all("empty ACL" in line for line in complaints)
    assert bool(complaints) is (options is NO_SOURCES)


def test_a_pattern_of_squid_matches_its_names_and_no_others() -> None:
    one, anything = sorted(re.findall(r"dstdom_regex -n -i (\S+)", written("squid")), key=len)
    assert re.search(one, "a.store.example.com")
    assert not re.search(one, "a.b.store.example.com")
    assert re.search(anything, "a.b.cdn.example.net")
    for name in ("store.example.com", "cdn.example.net", "xstore.example.com", "a.storeXexample.com", "evil.com"):
        assert not re.search(one, name)
        assert not re.search(anything, name)


@pytest.mark.namespaces
@BOUNDS
def test_nft_loads_its_sets_and_loads_them_again(options: Options, tmp_path: Path) -> None:
    nft = program("nft")
    (tmp_path / "netpol.nft").write_text(written("nftables", options))
    done = in_namespace(f"{nft} -c -f netpol.nft; {nft} -f netpol.nft; {nft} -f netpol.nft", tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("element", "there"),
    [
        ("192.0.2.9 . tcp . 443", True),
        ("203.0.113.123 . udp . 123", True),
        ("198.51.100.20 . tcp . 8443", True),
        ("198.51.100.20 . udp . 443", False),
        ("192.0.2.10 . tcp . 443", False),
        ("192.0.2.7 . tcp . 443", False),
    ],
)
def test_a_set_of_nft_holds_what_was_seen(element: str, there: bool, tmp_path: Path) -> None:  # noqa: FBT001
    nft = program("nft")
    (tmp_path / "netpol.nft").write_text(written("nftables"))
    look = f"{nft} get element inet netpol_egress shop_web_Deployment_dst4 '{{ {element} }}'"
    done = in_namespace(f"{nft} -f netpol.nft; if {look}; then echo there; fi", tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("there" in done.stdout) is there


@pytest.mark.namespaces
@BOUNDS
def test_ipset_and_iptables_take_their_files(options: Options, tmp_path: Path) -> None:
    ipset, v4, v6 = program("ipset"), program("iptables-restore"), program("ip6tables-restore")
    (tmp_path / "sets").write_text(written("ipset", options))
    (tmp_path / "rules").write_text(written("iptables", options))
    if in_namespace(f"{ipset} create probe hash:net,port", tmp_path).returncode:
        pytest.skip("the kernel has no ipset")
    twice = f"{ipset} restore -exist -file sets; {ipset} restore -exist -file sets"
    done = in_namespace(f"{twice}; {v4} --test --noflush rules; {v6} --test --noflush rules; {v4} rules", tmp_path)
    assert done.returncode == 0, done.stderr


@BOUNDS
def test_envoy_validates_its_bootstrap(options: Options, tmp_path: Path) -> None:
    server = envoy()
    # Blocks of two workloads inside each other, and a name of one behind a block of the other.
    more = (
        need(DB, None, "192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.11"),
        need(DB, "api.partner.example", "198.51.100.20"),
    )
    text = FORMATS["envoy"].write([*NEEDS, *more], options).text
    (tmp_path / "envoy.yaml").write_text(text)
    done = subprocess.run(
        [server, "--mode", "validate", "-c", str(tmp_path / "envoy.yaml")],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    ("name", "service", "operation"),
    [
        ("aws-network-firewall", "network-firewall", "CreateRuleGroup"),
        ("aws-security-group", "ec2", "AuthorizeSecurityGroupEgress"),
    ],
)
@BOUNDS
def test_the_service_model_of_aws_takes_the_parameters(
    monkeypatch: pytest.MonkeyPatch, name: str, service: str, operation: str, options: Options
) -> None:
    # Not in the test group: it asks for an older dateutil than the Kubernetes client, and would hold that back.
    monkeypatch.syspath_prepend(os.environ.get("NETPOL_TEST_BOTOCORE", ""))
    session = pytest.importorskip("botocore.session", reason="botocore is not installed").Session()
    validate = pytest.importorskip("botocore.validate")
    shape = session.get_service_model(service).operation_model(operation).input_shape
    parameters = json.loads(written(name, options))
    if service == "ec2":
        parameters["GroupId"] = "sg-0123456789abcdef0"
    report = validate.ParamValidator().validate(parameters, shape)
    assert not report.has_errors(), report.generate_report()
    assert_patterns(parameters, shape)


def assert_patterns(value: Any, shape: Any) -> None:
    """The model's own patterns and lengths, which botocore leaves to the service."""
    if shape.type_name == "structure":
        for key, item in value.items():
            assert_patterns(item, shape.members[key])
    elif shape.type_name == "list":
        for item in value:
            assert_patterns(item, shape.member)
    elif shape.type_name == "string":
        assert re.fullmatch(shape.metadata.get("pattern", ".*"), value)
        assert not shape.enum or value in shape.enum


def test_a_security_group_has_each_block_once_for_a_port() -> None:
    for permission in json.loads(written("aws-security-group"))["IpPermissions"]:
        blocks = [item["CidrIp"] for item in permission.get("IpRanges", [])]
        blocks += [item["CidrIpv6"] for item in permission.get("Ipv6Ranges", [])]
        assert len(blocks) == len(set(blocks))
        assert permission["FromPort"] == permission["ToPort"]


def test_words_for_workloads_are_short_and_nobody_elses() -> None:
    for name in ("squid", "nftables", "ipset", "iptables"):
        text = written(name)
        words = set(re.findall(r"(?:^|\s|@)([A-Za-z]\w*?)(?:_src\d?|-[46]-src)\b", text))
        assert len(words) == len({WEB, DB}), name
    assert all(len(word) <= 31 for word in re.findall(r"^create (\S+)", written("ipset"), re.MULTILINE))
    assert all(len(word) <= 63 for word in re.findall(r"^acl (\S+)", written("squid"), re.MULTILINE))
