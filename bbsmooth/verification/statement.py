"""What a run is, in one statement that can be signed: what `verify` found, the summary, and digests of all files.

An in-toto Statement v1 in a DSSE envelope, signed with Ed25519. Its digests cover every file that holds results, and
every recorded answer; of the database of answers its rows, since the file changes whenever one opens it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bbsmooth.errors import UsageError
from bbsmooth.runs.directory import Status
from bbsmooth.runs.files import write_json
from bbsmooth.runs.hashes import run_hashes
from bbsmooth.runs.layout import ATTESTATION, CACHES, COMMITMENT, DATABASE, MANIFEST
from bbsmooth.runs.reading import Run, read_run
from bbsmooth.verification.stored import reading

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from bbsmooth.verification.run import Verification

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:bbsmooth:run:1"
PAYLOAD = "application/vnd.in-toto+json"
_INSTALL = "signing needs `pip install 'bbsmooth[attest]'`"


def attest(path: Path, key: bytes, found: Verification) -> Path:
    """Write the signed statement of a run, `attestation.dsse.json`, and return its place.

    Args:
        path: the run directory.
        key: private key, Ed25519, PEM without a password. It is written nowhere.
        found: what `verify` found.

    Raises:
        UsageError: the run has not ended, or the key is none.
    """
    run = read_run(path)
    if run.status == Status.RUNNING:
        raise UsageError(f"{run.place} has not ended; attest it once it has")
    signer = _private(key)
    payload = json.dumps(statement(run, found), sort_keys=True, ensure_ascii=False).encode()
    envelope = {
        "payloadType": PAYLOAD,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [
            {"keyid": _keyid(signer.public_key()), "sig": base64.b64encode(signer.sign(_encoded(payload))).decode()}
        ],
    }
    write_json(path / ATTESTATION, envelope)
    return path / ATTESTATION


def statement(run: Run, found: Verification) -> dict[str, Any]:
    """The in-toto statement of a run.

    Args:
        run: what its files say.
        found: what `verify` found.
    """
    digests = run_digests(run)
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "command": run.command,
            "status": run.status,
            "verification": found.as_json() | {"run": run.path.name},
            "summary": run.summary,
            "commitment": digests.get(COMMITMENT),
            "attested": datetime.now(UTC).isoformat(timespec="seconds"),
            "bbsmooth": version("bbsmooth"),
        },
    }


def run_digests(run: Run) -> dict[str, str]:
    """SHA-256 in hexadecimal of each file that holds results, the manifest's bytes among them, and of all answers."""
    found = run_hashes(run.path, run.manifest)
    found[MANIFEST] = hashlib.sha256((run.path / MANIFEST).read_bytes()).hexdigest()
    for cache in CACHES:
        if (run.path / cache / DATABASE).exists():
            found[f"{cache}/"] = _answers_digest(run.path / cache)
    return found


def wrong_attestation(run: Run, key: bytes | None) -> Iterator[str]:
    """Problems of a statement: files that are not those it names, or a signature that is not the key's.

    Args:
        run: with a statement.
        key: the public key that should have signed it, PEM; None where nobody named one.
    """
    try:
        envelope = json.loads((run.path / ATTESTATION).read_bytes())
        payload = base64.b64decode(envelope["payload"], validate=True)
        said = json.loads(payload)
        named = {one["name"]: one["digest"]["sha256"] for one in said["subject"]}
    except (ValueError, KeyError, TypeError) as error:
        yield f"{ATTESTATION} is no statement ({error!r})"
        return
    if (envelope["payloadType"], said["_type"], said["predicateType"]) != (PAYLOAD, STATEMENT, PREDICATE):
        yield f"{ATTESTATION} is a statement of another kind"
    digests = run_digests(run)
    for name in sorted(named.keys() | digests.keys()):
        if named.get(name) != digests.get(name):
            yield f"{ATTESTATION}: {name} is not as it was when the run was attested"
    if said["predicate"]["summary"] != run.summary:
        yield f"{ATTESTATION}: its summary is not that of the run"
    if key is not None and not _signed(envelope, payload, key):
        yield f"{ATTESTATION} is not signed with this key"


def _signed(envelope: dict[str, Any], payload: bytes, key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    public = _public(key)
    for signature in envelope["signatures"]:
        try:
            public.verify(base64.b64decode(signature["sig"], validate=True), _encoded(payload))
        except (InvalidSignature, ValueError, KeyError, TypeError):
            continue
        return True
    return False


def _encoded(payload: bytes) -> bytes:
    """What is signed: the pre-authentication encoding of DSSE."""
    kind = PAYLOAD.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _private(key: bytes) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ModuleNotFoundError as error:
        raise UsageError(_INSTALL) from error
    try:
        found = load_pem_private_key(key, password=None)
    except (ValueError, TypeError):  # nothing of what it says may hold a part of the key
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise UsageError(
            "`key` must be a private Ed25519 key, PEM without a password: openssl genpkey -algorithm ed25519"
        )
    return found


def _public(key: bytes) -> Ed25519PublicKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ModuleNotFoundError as error:
        raise UsageError(_INSTALL) from error
    try:
        found = load_pem_public_key(key)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise UsageError("`key` must be a public Ed25519 key, PEM: openssl pkey -in KEY -pubout")
    return found


def _keyid(key: Ed25519PublicKey) -> str:
    """SHA-256 over the public key as it stands in certificates."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _answers_digest(folder: Path) -> str:
    """SHA-256 over every row of a database of answers, by key, values that have files of their own included."""
    path, digest = folder / DATABASE, hashlib.sha256()
    with closing(reading(path)) as database:
        for key, value, filename in database.execute("SELECT key, value, filename FROM Cache ORDER BY key"):
            for part in (key, value if filename is None else (folder / filename).read_bytes()):
                raw = part if isinstance(part, bytes) else str(part).encode()
                digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()
