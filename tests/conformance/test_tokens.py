"""Tokens of the vendors' own libraries, from a token service on 127.0.0.1."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.conformance.environments import installed
from tests.oracles.remote.protocols.test_template_forms import ok, serving

REQUIREMENTS = ("google-auth[requests]==2.57.0", "azure-identity==1.27.0", "cryptography==50.0.2")

_SCRIPT = """
import sys

sys.path.extend({paths!r})

from oracles.remote.messages import Request
from oracles.remote.signing import signer

learnt = []
sign = signer({auth!r}, "https://example.org", learnt.append)
print(sign(Request("POST", "https://example.org/x")).headers["Authorization"], sign.renew(), learnt)
"""


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["google", "azure"])
def test_a_token_of_the_vendors_library_goes_with_requests(auth: str, tmp_path: Path) -> None:
    environment = installed("tokens", REQUIREMENTS)
    paths = [str(Path(__file__).parents[2]), sysconfig.get_paths()["purelib"]]
    key = subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout
    given = iter(range(1, 9))

    def answer(request: object) -> tuple[int, bytes, dict[str, str]]:
        token = f"{auth}-token-{next(given)}"
        return ok({"access_token": token, "expires_in": 3600, "expires_on": "4102444800", "token_type": "Bearer"})

    with serving(answer) as (url, asked):
        file = tmp_path / "key.json"
        account = {"type": "service_account", "client_email": "a@b.c", "token_uri": f"{url}/token", "private_key": key}
        file.write_text(json.dumps(account))
        variables = {
            "google": {"GOOGLE_APPLICATION_CREDENTIALS": str(file), "NO_GCE_CHECK": "true"},
            "azure": {"IDENTITY_ENDPOINT": f"{url}/token", "IDENTITY_HEADER": "x"},
        }[auth]
        done = subprocess.run(
            [str(environment / "bin" / "python"), "-c", _SCRIPT.format(paths=paths, auth=auth)],
            capture_output=True,
            text=True,
            env={name: value for name, value in os.environ.items() if "PYTHONPATH" not in name} | variables,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Bearer {auth}-token-1 ")
    assert asked
