"""All checks of one run: does what it says follow from what it recorded?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bbsmooth.errors import UsageError
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.layout import ATTESTATION, COMMITMENT, STAMP
from bbsmooth.runs.reading import Run, read_run
from bbsmooth.runs.remote import name_of
from bbsmooth.verification.acceptance import wrong_answers, wrong_order
from bbsmooth.verification.answers import wrong_predictions, wrong_tuning
from bbsmooth.verification.certificates import BROKEN, said, wrong_certificates, wrong_lines
from bbsmooth.verification.choice import wrong_choice
from bbsmooth.verification.commitment import foreign_stamp, other_images, wrong_commitment, wrong_stamp
from bbsmooth.verification.files import wrong_files
from bbsmooth.verification.pilot import wrong_pilot
from bbsmooth.verification.recorded import NotAtHand, wrong_votes
from bbsmooth.verification.statement import wrong_attestation
from bbsmooth.verification.totals import wrong_ledger, wrong_summary

Check = Callable[[Run], Iterator[str]]

_GONE, _MISSING = " is gone", " is missing"  # of a file that was hashed, and of one that should be there: said once

_FIXED: tuple[tuple[str, Check], ...] = (
    ("the run did what it had fixed before its first query", wrong_commitment),
    ("the images are those that it had fixed", other_images),
)

_CHECKS: dict[str, tuple[tuple[str, Check], ...]] = {
    "certify": (
        ("each certificate follows from its counts", wrong_certificates),
        ("each certificate is what images, seed and recorded answers give", wrong_votes),
        ("the summary follows from the certificates", wrong_summary),
        *_FIXED,
        ("the ledger covers every answer", wrong_ledger),
    ),
    "accept": (
        ("each answer follows from the images, and each image from its counts", wrong_answers),
        ("order and images are what seed and recorded answers give", wrong_order),
        *_FIXED,
        ("the ledger adds up", wrong_ledger),
    ),
    "plan": (("the ledger adds up", wrong_ledger),),
    "import-log": (
        ("each line agrees with itself; a log holds no counts, so bounds cannot be recomputed", wrong_lines),
        ("the summary follows from the lines", wrong_summary),
    ),
    "predict": (
        ("each prediction follows from its votes", wrong_predictions),
        *_FIXED,
        ("the ledger adds up", wrong_ledger),
    ),
    "attack": (*_FIXED, ("the ledger adds up", wrong_ledger)),
    "tune": (
        ("the summary follows from the history", wrong_tuning),
        ("a sigma that was chosen follows from the pilot's figures", wrong_choice),
        ("and these from its images, seed and recorded answers", wrong_pilot),
        *_FIXED,
        ("the ledger adds up", wrong_ledger),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of a verification: what was checked, and what is wrong.

    Attributes:
        run: the run directory.
        checks: in words.
        findings: one line for everything that is wrong.
        unchecked: what could not be checked, and why.
    """

    run: str
    checks: tuple[str, ...]
    findings: tuple[str, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """True if nothing is wrong."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return asdict(self) | {"verified": self.verified}


def verify(path: Path, *, authority: bytes | None = None, key: bytes | None = None) -> Verification:
    """Check a run, without a query.

    Args:
        path: the run directory.
        authority: root certificates of the authority that stamped the run's commitment, PEM; None where nobody knows.
        key: public key that should have signed the run's statement, PEM; None where nobody knows.

    Raises:
        UsageError: `path` is not a run directory.
    """
    manifest = read_manifest(path)
    checks = ["every file is as it was when the run ended"]
    findings, unchecked = list(wrong_files(path, manifest)), []
    try:
        run = read_run(path)
    except UsageError as error:
        return Verification(run=name_of(path), checks=tuple(checks), findings=(*findings, str(error)))
    for words, check in (*_checks(run), *_stamp_checks(run, authority), *_signature_checks(run, key)):
        try:
            findings += (
                each for each in _found(check, run, words) if each.removesuffix(_MISSING) + _GONE not in findings
            )
            checks.append(words)
        except NotAtHand as why:
            unchecked.append(f"{words}: {why}")
    return Verification(run=name_of(path), checks=tuple(checks), findings=tuple(findings), unchecked=tuple(unchecked))


def _checks(run: Run) -> list[tuple[str, Check]]:
    """Checks of a run of its command; where it has no commitment, one of them says so and no other speaks of it."""
    committed = (run.path / COMMITMENT).exists()
    return [each for each in _CHECKS.get(run.command, ()) if committed or each[1] is not other_images]


def _stamp_checks(run: Run, authority: bytes | None) -> tuple[tuple[str, Check], ...]:
    """Checks of the stamp, where the run has one or should have one."""
    if not (run.path / STAMP).exists():
        return ()
    return (
        ("the stamp is about what was fixed, and came before the first query", wrong_stamp),
        ("the stamp is the authority's", lambda run: foreign_stamp(run, authority)),
    )


def _signature_checks(run: Run, key: bytes | None) -> tuple[tuple[str, Check], ...]:
    """Checks of the signed statement, where the run has one or should have one."""
    if not (run.path / ATTESTATION).exists():
        return () if key is None else (("the run is attested", lambda run: iter([f"{ATTESTATION} is missing"])),)
    if key is not None:
        return (("every file is as the key's owner attested it", lambda run: wrong_attestation(run, key)),)
    return (
        ("every file is as it was attested", lambda run: wrong_attestation(run, None)),
        ("the statement is signed by the right key", _unsigned),
    )


def _unsigned(run: Run) -> Iterator[str]:
    """Tell that it cannot be told who signed."""
    raise NotAtHand("nobody named the public key; hand it over as `key`")


def _found(check: Check, run: Run, words: str) -> list[str]:
    """Problems that a check finds; files that are not what they should be are one too."""
    findings: list[str] = []
    try:
        findings.extend(check(run))
    except BROKEN as error:
        why = said(error)
        if not isinstance(error, UsageError):
            why = f"a field is missing or is not what it should be ({why})"
        findings.append(f"cannot tell whether {words}: {why}")
    return findings
