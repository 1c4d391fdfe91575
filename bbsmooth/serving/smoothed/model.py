"""Metadata of the smoothed classifier, in the words of the protocol."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from bbsmooth.certification import Plan, SequentialPlan
from bbsmooth.noise import Grid
from bbsmooth.serving.model import DATATYPES, INPUT
from oracles import OracleSpec

_VERSION_DIGITS = 16

NO_RADIUS = -1.0
"""Stands where nothing is certified: smaller than every radius that anybody could ask for."""

NO_CLASS = -1
"""Stands where nothing is certified, instead of a class's number."""

_SAYS = {
    "label": "name of the class that the smoothed classifier surely gives, empty for an abstention",
    "class": "its number, -1 for an abstention",
    "abstained": "whether nothing is certified",
    "reason": "why not: unproven (no class surely has more than half of the probability), refused (the classifier "
    "refused to answer a noisy copy), no answer (it named no class); empty where a class is certified",
    "radius": "the class is the same for every image closer than this, white being 1; -1 for an abstention",
    "alpha": "probability, over the noise drawn for this answer, that it is wrong",
    "p_lower": "lower bound on the probability of the chosen class under noise, on which the radius rests",
    "queries": "noisy copies that were asked about, and charged",
    "votes": "votes of each class among the copies that bound the probability",
    "decisions": "for each radius in the model's parameters: certified, refuted, or undecided",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothedModel:
    """A smoothed classifier under its public name.

    Attributes:
        name: in the URL.
        spec: of the classifier that is smoothed: the oracle with what stands before it.
        plan: the settings of the certificates.
        grid: on which noise is added.
        max_batch: most images in one request.
        most_queries: for one image.
        keyed: whether a client needs a key.
    """

    name: str
    spec: OracleSpec
    plan: Plan
    grid: Grid
    max_batch: int
    most_queries: int
    keyed: bool

    @property
    def version(self) -> str:
        """The start of a digest of classifier and noise: a client that compares it notices another one."""
        noise = self.plan.noise
        what = (self.spec.fingerprint, self.grid.algorithm, noise.name, repr(noise.sigma), self.grid.bits)
        return hashlib.sha256("\n".join(map(str, what)).encode()).hexdigest()[:_VERSION_DIGITS]

    @property
    def input_spec(self) -> OracleSpec:
        """Specification that images in a request have to fit."""
        return replace(self.spec, name=self.name, max_batch=None)

    @property
    def radii(self) -> tuple[float, ...]:
        """Radii that are decided one by one; none with most methods."""
        return self.plan.radii if isinstance(self.plan, SequentialPlan) else ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output tensors."""
        return tuple(self._shapes)

    @property
    def _shapes(self) -> dict[str, tuple[str, list[int]]]:
        """Datatype and shape of each output."""
        classes = self.spec.classes
        found: dict[str, tuple[str, list[int]]] = {"label": ("BYTES", [-1])}
        if not classes.open_set:  # whose numbers mean nothing
            found["class"] = ("INT64", [-1])
        found |= {
            "abstained": ("BOOL", [-1]),
            "reason": ("BYTES", [-1]),
            "radius": ("FP64", [-1]),
            "alpha": ("FP64", [-1]),
            "p_lower": ("FP64", [-1]),
            "queries": ("INT64", [-1]),
            "votes": ("BYTES", [-1]) if classes.open_set else ("INT64", [-1, len(classes)]),
        }
        if self.radii:
            found["decisions"] = ("BYTES", [-1, len(self.radii)])
        return found

    def metadata(self) -> dict[str, Any]:
        """The reply to a question for metadata: standard fields, and parameters that say what each number means."""
        classes, plan = self.spec.classes, self.plan
        says = dict(_SAYS)
        if classes.open_set:
            says["votes"] += ", as a JSON object from name to votes"
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": "bbsmooth",
            "inputs": [
                {
                    "name": INPUT,
                    "datatype": "UINT8",
                    "shape": [-1, *(self.spec.image_shape or (-1, -1, -1))],
                    "parameters": {
                        "datatypes": list(DATATYPES),
                        "description": "pixels 0 to 255, or floats k / 255: certificates are about images on this grid",
                    },
                }
            ],
            "outputs": [
                {"name": name, "datatype": datatype, "shape": shape, "parameters": {"description": says[name]}}
                for name, (datatype, shape) in self._shapes.items()
            ],
            "parameters": {
                "fingerprint": self.spec.fingerprint,
                "labels": None if classes.open_set else list(classes.names),
                "noise": plan.noise.name,
                "sigma": plan.noise.sigma,
                "norm": plan.noise.norm.value,
                "method": plan.name,
                "n0": plan.num_selection,
                "n": plan.max_estimation,
                "alpha": plan.alpha,
                "radii": list(self.radii),
                "max_radius": plan.largest_radius,
                "max_queries_per_image": self.most_queries,
                "max_batch": self.max_batch,
                "authorization": "bearer" if self.keyed else "none",
            },
        }
