"""A run in plain words: what it did and found."""

from __future__ import annotations

from typing import Any

from bbsmooth.reporting.acceptance import accepted
from bbsmooth.reporting.lineage import coordinator_phrase, seen_before
from bbsmooth.reporting.numbers import count, interval, money, percent
from bbsmooth.reporting.scope import told, was_tuned
from bbsmooth.runs.certificates import Record
from bbsmooth.runs.layout import CHOICE
from bbsmooth.runs.reading import Run

_NORMS = {"l1": "L1", "l2": "L2", "linf": "L-infinity"}


def norm_word(records: list[Record] | None) -> str:
    """Name of the norm of certificates, for people; empty where there are none."""
    norms = {record["norm"] for record in records or []}
    return " and ".join(sorted(_NORMS.get(str(norm), str(norm)) for norm in norms if norm is not None))


def proven_word(summary: Record) -> str:
    """Name of a summary's curve: accuracy where there are labels, agreement where the oracle gave them."""
    if not summary["certified_accuracy"]:
        return "certified answers"
    return "certified agreement" if summary.get("labels") == "oracle" else "certified accuracy"


def overview(run: Run) -> str:
    """One paragraph: what was done, to which model, under which assumptions, and what came out."""
    tell = {
        "certify": _certified,
        "accept": accepted,
        "tune": _tuned,
        "plan": _planned,
        "train": _trained,
        "import-log": _imported,
        "predict": _predicted,
        "attack": _attacked,
    }.get(run.command)
    sentences = tell(run) if tell else [f"This is a run of `bbsmooth {run.command}`."]
    if run.status != "done":
        sentences.append(f"The run did not come to its end ({run.status}); what is shown is what there is.")
    return " ".join([*sentences, *_watched(run), *_spent(run)])


def _certified(run: Run) -> list[str]:
    settings, data = run.settings, run.manifest["data"]
    return [
        f"Images of {data['name']} ({data['split']} split) were certified for the classifier "
        f"{run.manifest['oracle']['name']}{coordinator_phrase(run)}, which was only asked for its answers.",
        *_chosen_sigma(run),
        f"Each image was shown under {settings['noise']} noise of standard deviation {settings['sigma']:g} (white "
        f"being 1): {count(settings['num_selection'], 'answer')} chose a class, "
        f"{'up to ' if _varies(run) else ''}{count(settings['num_estimation'], 'fresh answer')} bounded its "
        "probability.",
        *_found(run),
        *_together(run),
        f"A certificate speaks of the smoothed classifier and of changes whose {norm_word(run.certificates)} norm is "
        f"below its radius; {_level(run)} with probability at most {settings['alpha']:g}, over the draws. "
        "It holds for the classifier as it was when it was asked.",
        *_issued(run),
        *_seen(run),
    ]


def _chosen_sigma(run: Run) -> list[str]:
    """Sentence on how sigma was chosen, where it was: by this run, or by the one that made the coordinator."""
    chosen = dict[str, Any](run.manifest).get(CHOICE)
    if chosen is None:
        return []
    sigmas = ", ".join(f"{each['sigma']:g}" for each in chosen["sigmas"])
    return [
        f"Sigma {chosen['sigma']:g} was chosen for radius {chosen['radius']:g} among {sigmas}, by "
        f"{count(chosen['queries'], 'query', 'queries')} about other images, before anything was tuned."
    ]


def _issued(run: Run) -> list[str]:
    """Sentence on what the level of each image does not bound."""
    if run.settings.get("family_wise") or (run.summary or {}).get("false_discovery") or not run.settings["alpha"]:
        return []
    return [
        "That probability counts all images that were tried: among the certificates that were issued the share of "
        "wrong ones may be larger, where many images lie near the boundary."
    ]


def _seen(run: Run) -> list[str]:
    if not ((run.summary or {}).get("seen_before") or seen_before(run)):
        return []
    return [
        "What stands behind these answers was made on the same images: their accuracy, and its interval, say nothing "
        "about new images. The certificates themselves hold."
    ]


def _level(run: Run) -> str:
    joint = run.settings.get("family_wise")
    return f"any of them is wrong ({joint})" if joint else "for each image it is wrong"


def _together(run: Run) -> list[str]:
    joint = (run.summary or {}).get("family_wise")
    if not joint:
        return _discovered((run.summary or {}).get("false_discovery"))
    holm = [f"{row['images']:,} at {row['radius']:g}" for row in joint["certified"] or []]
    return [f"Images certified together by Holm's procedure: {', '.join(holm)}."] if holm else []


def _discovered(found: Record | None) -> list[str]:
    """Sentences on the share of wrong certificates among those that are issued."""
    if found is None:
        return []
    bound = f"the share of wrong ones among those issued is at most {found['rate']:g} in expectation"
    proven = (
        f"{found['certified']:,} of {count(found['images'], 'image')} were certified, {found['needed']:,} are needed"
    )
    if found["issued"]:
        return [f"The certificates are issued together, so that {bound}: {proven}."]
    return [f"No certificate is issued, so that {bound}: {proven}. All are counted as abstentions."]


def _imported(run: Run) -> list[str]:
    settings = run.settings
    alpha = "not stated" if settings["alpha"] is None else f"{settings['alpha']:g}"
    return [
        f"These certificates were read from the log {settings['log']}, made elsewhere with {settings['noise']} noise "
        f"of standard deviation {settings['sigma']:g}; alpha is {alpha}.",
        *_found(run),
        "A log holds no counts, so its bounds cannot be recomputed here.",
    ]


def _found(run: Run) -> list[str]:
    summary = run.summary
    if summary is None or not summary["certificates"]:
        return ["No certificate was finished."]
    abstained = "No image was left without a certificate."
    if summary["abstained"]:
        abstained = f"Of {count(summary['certificates'], 'image')} {summary['abstained']:,} got no certificate."
    missing = summary["images"] - summary["certificates"]
    left = (
        f"{count(missing, 'image')} {'is' if missing == 1 else 'are'} not certified yet and may be harder than these."
    )
    rest = [left] if missing > 0 else []
    if not summary["certified_accuracy"]:
        return [abstained, *rest]
    curve = told(summary)
    first = curve[0]
    by_oracle = summary.get("labels") == "oracle"
    right = "the class that the classifier gives without noise" if by_oracle else "the right class"
    around = ", of those that were answered"
    if first["low"] is not None:
        around = f" ({100 * summary['confidence']:g} % interval {interval(first['low'], first['high'])})"
    accuracy = (
        f"Of the images, {percent(first['value'])} got {right} with a radius of at least {first['radius']:g}{around}"
    )
    more = [f"{percent(row['value'])} of at least {row['radius']:g}" for row in curve[1:]]
    return [f"{accuracy}{', ' if more else ''}{', '.join(more)}.", abstained, *rest]


def _tuned(run: Run) -> list[str]:
    settings, summary = run.settings, run.summary
    what = (
        f"A coordinator, a small local network, was made for the classifier {run.manifest['oracle']['name']} on images "
        f"of {run.manifest['data']['name']}, under {settings['noise']} noise of standard deviation "
        f"{sigma_words(run)} (white being 1)."
    )
    if summary is None:
        return [what, *_chosen_sigma(run)]
    if not was_tuned(summary):
        return [what, *_chosen_sigma(run), "It was trained to denoise, without a query."]
    return [
        what,
        *_chosen_sigma(run),
        f"{count(summary['steps'], 'step')} of {summary['method']} on nothing but the classifier's answers took its "
        f"accuracy on noisy held-out images from {percent(summary['heldout_accuracy_start'])} to "
        f"{percent(summary['heldout_accuracy_best'])}; the parameters that did best there were kept.",
    ]


def sigma_words(run: Run) -> str:
    """The sigma of a run; of one that chose it, what it chose."""
    sigma, chosen = run.settings["sigma"], (run.summary or {}).get("sigma")
    if isinstance(sigma, str):
        return sigma if chosen is None else f"{chosen:g}, chosen for the radius"
    return f"{sigma:g}"


def _planned(run: Run) -> list[str]:
    summary = run.summary
    if summary is None or "sigmas" not in summary:
        return ["This is a run of `bbsmooth plan`."]
    shares = [
        f"{percent(row['certified']['expected'])} with {row['sigma']:g} "
        f"({interval(row['certified']['low'], row['certified']['high'])})"
        for row in summary["sigmas"]
    ]
    radius = summary["sigmas"][0]["certified"]["radius"]
    return [
        f"A sigma was chosen for the classifier {run.manifest['oracle']['name']}, from images of "
        f"{run.manifest['data']['name']} that are not to be certified: {summary['sigma']:g}.",
        f"Share of images expected to be right and certified at radius {radius:g}, by sigma: {', '.join(shares)}.",
    ]


def _trained(run: Run) -> list[str]:
    settings, summary = run.settings, run.summary
    what = (
        f"The classifier {settings['model']} was trained with gradients ({settings['method']}) on images of "
        f"{run.manifest['data']['name']}, under {settings['noise']} noise of standard deviation {settings['sigma']:g} "
        "(white being 1)."
    )
    if summary is None:
        return [what]
    parameters = summary["parameters"]
    return [
        what,
        f"{parameters['trained']:,} of its {parameters['all']:,} parameters were trained. It names the right class of "
        f"{percent(summary['clean_accuracy'])} of the test images, and of {percent(summary['noisy_accuracy'])} under "
        "noise.",
    ]


def _predicted(run: Run) -> list[str]:
    predictions, settings = run.predictions or [], run.settings
    abstained = sum(entry["abstained"] for entry in predictions)
    return [
        f"The smoothed classifier over {run.manifest['oracle']['name']} was asked about "
        f"{count(len(settings['files']), 'image file')}, {count(settings['n'], 'vote')} each, under "
        f"{settings['noise']} noise of standard deviation {settings['sigma']:g}.",
        f"It named the class of {count(len(predictions) - abstained, 'image')} and abstained "
        f"{count(abstained, 'time')}; a named class is not the smoothed class with probability at most "
        f"{settings['alpha']:g}, over the draws, for each image.",
    ]


def _attacked(run: Run) -> list[str]:
    settings, summary = run.settings, run.summary or {}
    said = [f"The certificates of {settings['certificates']} were attacked with {settings['method']}."]
    if "contradictions" in summary:
        alarm = summary["contradictions"]
        said.append(
            f"ALARM: inside a certified radius, {count(len(alarm), 'image')} turned: {', '.join(map(str, alarm))}."
            if alarm
            else f"Of {count(summary['images'], 'image')} none was turned inside its certified radius."
        )
    return said


def _watched(run: Run) -> list[str]:
    """Sentence on changes of a remote model while the run went on."""
    drift = run.manifest.get("drift") or {}
    if drift.get("changed"):
        moments = ", ".join(str(change["time"]) for change in drift["changed"])
        return [
            f"ALARM: the classifier was found to have changed ({moments}); answers since the last passed check before "
            "were discarded."
        ]
    if drift.get("checks"):
        asked = f"{count(drift['canaries'], 'canary image')} asked again in {count(drift['checks'], 'check')}"
        return [f"By {asked}, the classifier was not found to have changed."]
    return []


def _spent(run: Run) -> list[str]:
    if run.ledger is None:
        return []
    price = f", at the stated price {money(run.ledger['price'])}" if run.ledger["price_per_1000"] else ""
    if "billed" in run.ledger:
        dated = f" of {date}" if (date := run.ledger["prices"].get("date")) else ""
        price = f", at the stated prices{dated} {money(run.ledger['billed'])}, at most {money(run.ledger['price'])}"
    batched = f" ({run.ledger['batched']:,} of them by batch)" if run.ledger.get("batched") else ""
    return [f"The run spent {run.ledger['spent_total']:,} queries{batched}{price}."]


def _varies(run: Run) -> bool:
    return len({record["n"] for record in run.certificates or []}) > 1
