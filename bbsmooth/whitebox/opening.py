"""The oracle `trained:RUN`: a model that `bbsmooth train` made, as query-only as any other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from oracles import Classes, SpecError

if TYPE_CHECKING:
    from oracles.local import LocalOracle


def open_trained(rest: str, options: Mapping[str, str]) -> LocalOracle:
    """A model that `bbsmooth train` made, from the directory of its run. Shown any values, it does not clip.

    Args:
        rest: the directory.
        options: `device`, `dtype`.

    Raises:
        SpecError: no directory, or an unknown option.
        UsageError: it holds no trained model.
    """
    from bbsmooth.whitebox.storage import load_trained  # and torch and timm, which the list of names does without
    from oracles.local import LocalOracle

    unknown = options.keys() - {"device", "dtype"}
    if not rest or unknown:
        raise SpecError(f"trained: needs a run directory, and takes device and dtype, got {rest!r} {sorted(unknown)}")
    classifier, module = load_trained(Path(rest))
    return LocalOracle(
        module,
        name=f"trained:{rest}",
        architecture=classifier.identity,
        classes=Classes(classifier.classes, named=classifier.named),
        image_shape=classifier.image_shape,
        normalisation=classifier.normalisation,
        device=options.get("device", "auto"),
        dtype=options.get("dtype", "float32"),
        clip=False,
    )


open_trained.local = True  # type: ignore[attr-defined]  # see `oracles.registry.GROUP`
