"""The earlier run from which a classifier that was changed a little is certified anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bbsmooth.certification import ClopperPearson
from bbsmooth.certification.methods.incremental import IncrementalPlan
from bbsmooth.errors import UsageError
from bbsmooth.runs.certificates import Record, read_certificates
from bbsmooth.runs.directory import read_manifest
from bbsmooth.runs.files import in_use
from bbsmooth.runs.layout import EARLIER_RESPONSES, RESPONSES
from bbsmooth.settings.certify import CertifyConfig
from bbsmooth.settings.common import SmoothingConfig
from oracles import OracleSpec, ResponseStore, VoteLog

_SAME_DRAWS = ("sigma", "noise", "seed")


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierRun:
    """A run of the classifier before it was changed.

    Attributes:
        path: its directory.
        started: when.
        fingerprint: of the classifier.
        num_selection: draws that chose a class (n0).
        num_estimation: draws that bounded its probability (n).
        images: how many it certified.
        unchanged: whether the classifier is still the same.
    """

    path: Path
    started: str
    fingerprint: str
    num_selection: int
    num_estimation: int
    images: int
    unchanged: bool

    @property
    def described(self) -> Mapping[str, Any]:
        """Manifest entry of the new run for it."""
        return {"run": str(self.path), "started": self.started, "classifier": self.fingerprint}

    def settled(self, config: CertifyConfig) -> CertifyConfig:
        """The settings with what the earlier run settles.

        Raises:
            UsageError: they do not go with it.
        """
        if config.method != "cohen":
            raise UsageError(f"`incremental_from` is a method of its own, got `method` {config.method}; leave that out")
        if (config.limit or 0) > self.images:
            raise UsageError(f"{self.path} certified {self.images} images, so `limit` must not be {config.limit}")
        if self.unchanged:
            raise UsageError(
                f"the classifier is the one that {self.path} certified: fewer draws of it, chosen by one who knows "
                "more, are a second chance to be wrong; take that run's certificates, or its answers by `reuse`"
            )
        return replace(
            config,
            method="incremental",
            limit=config.limit or self.images,
            num_selection=0,
            earlier_selection=self.num_selection,
            earlier_estimation=self.num_estimation,
        )


def earlier_run(path: Path, smoothing: SmoothingConfig, context: Mapping[str, Any]) -> EarlierRun:
    """The run in `path`, if its votes are on the draws that are asked about now.

    Args:
        path: a run directory.
        smoothing: the noise now.
        context: what the new manifest says of data, classes and classifier.

    Raises:
        UsageError: there is none, or its draws are others.
    """
    manifest = read_manifest(path)
    settings = manifest["settings"]
    if manifest["command"] != "certify" or settings.get("method") != "cohen" or not (path / RESPONSES).is_dir():
        raise UsageError(
            f"{path} holds no answers of a `bbsmooth certify` with `method` cohen, and `incremental_from` needs them"
        )
    if in_use(path):
        raise UsageError(f"{path} is in use by another process; wait for it")
    now = {key: getattr(smoothing, key) for key in _SAME_DRAWS}
    for key in _SAME_DRAWS:
        if settings[key] != now[key]:
            raise UsageError(f"{path} was made with `{key}` {settings[key]}, not {now[key]}, so its draws are others")
    for what, then, asked in _things(manifest, json.loads(json.dumps(context))):
        if then != asked:
            raise UsageError(f"{path} was made with other {what}, so its draws are others")
    return EarlierRun(
        path=path,
        started=manifest["started"],
        fingerprint=manifest["classifier"]["fingerprint"],
        num_selection=settings["num_selection"],
        num_estimation=settings["num_estimation"],
        images=len(read_certificates(path)),
        unchanged=manifest["classifier"]["fingerprint"] == context["classifier"]["fingerprint"],
    )


@contextmanager
def earlier_votes(run: EarlierRun | None, folder: Path, spec: OracleSpec) -> Iterator[VoteLog | None]:
    """The votes of an earlier run, from a copy in the directory of the new one; None where there is no earlier run.

    Args:
        run: the earlier run.
        folder: the new run's directory.
        spec: of the classifier now.
    """
    if run is None:
        yield None
        return
    copy = folder / EARLIER_RESPONSES
    if not copy.exists():
        aside = folder / f"{EARLIER_RESPONSES}.tmp"
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(run.path / RESPONSES, aside)
        aside.replace(copy)
    store = ResponseStore(copy)
    try:
        yield VoteLog(store, replace(spec, fingerprint=run.fingerprint))
    finally:
        store.close()


def worth(records: Sequence[Record], plan: IncrementalPlan) -> Record:
    """Return the use of the earlier votes: mean radii with them, and by the later votes alone at the same alpha.

    Args:
        records: certificates of the changed classifier.
        plan: the settings.
    """
    counted = [record for record in records if record["n"]]
    if not counted:
        return {"mean_radius": 0.0, "mean_radius_by_votes_alone": 0.0, "lost": 0.0, "pays": False}
    radius = sum(record["radius"] or 0.0 for record in counted) / len(counted)
    alone = sum(plan.noise.radius(_lower_alone(record, plan.alpha)) for record in counted) / len(counted)
    lost = sum(record["details"]["lost"] / record["n"] for record in counted) / len(counted)
    return {"mean_radius": radius, "mean_radius_by_votes_alone": alone, "lost": lost, "pays": radius > alone}


def _lower_alone(record: Record, alpha: float) -> float:
    votes = record["counts"].get(str(record["selected"]), 0)
    return ClopperPearson().lower(votes, record["n"], alpha=alpha) - float(record["total_variation"])


def _things(manifest: Mapping[str, Any], context: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what both runs must share: its name, then its value in the earlier run and now."""
    for what, part, key in (
        ("images", "data", "fingerprint"),
        ("classes", "oracle", "classes"),
        ("bits of images", "classifier", "eight_bit"),
    ):
        yield what, (manifest.get(part) or {}).get(key), context[part][key]
    yield "noise", manifest["noise_algorithm"], context["noise_algorithm"]
