"""Which servers are asked without the proxy, by ranges of addresses that NO_PROXY names."""

from __future__ import annotations

import pytest

from oracles.remote.secrets import Secrets
from oracles.remote.surroundings import proxy


@pytest.mark.parametrize(
    ("exempt", "host", "direct"),
    [
        ("10.0.0.0/8", "10.200.3.4", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("example.org, 192.168.0.0/16 ,localhost", "192.168.77.1", True),
        ("10.0.0.1/8", "10.200.3.4", True),  # an address of the range in the place of its first one
        ("10.1.2.3/32", "10.1.2.3", True),
        ("10.1.2.3/32", "10.1.2.4", False),
        ("fd00::/8", "[fd12::1]", True),
        ("fd00::/8", "[fe80::1]", False),
        ("fd00::/8", "10.0.0.1", False),
        ("10.0.0.0/8", "[fd12::1]", False),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("10.0.0.0/33", "10.0.0.1", False),  # no range
        ("a/b,10.0.0.0/8", "10.0.0.1", True),
        ("10.0.0.0/8", "10.example.org", False),
        ("", "10.0.0.1", False),
        ("*", "10.0.0.1", True),
    ],
)
@pytest.mark.parametrize("port", ["", ":8000"])
def test_ranges_of_addresses_are_asked_without_the_proxy(
    monkeypatch: pytest.MonkeyPatch, exempt: str, host: str, direct: bool, port: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert (proxy(f"http://{host}{port}/v2", Secrets()) is None) == direct


def test_a_range_holds_for_https_and_for_a_proxy_of_all_schemes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8")
    assert proxy("https://10.1.1.1/", Secrets()) is None
    assert proxy("https://me:secret@10.1.1.1/", Secrets()) is None
    assert proxy("https://12.1.1.1/", Secrets()) is not None
