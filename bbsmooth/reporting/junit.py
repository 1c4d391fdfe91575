"""Answers of an acceptance test as JUnit XML, which systems that run tests show: a test case for each claim."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from bbsmooth.errors import UsageError
from bbsmooth.reporting.acceptance import answer_sentence
from bbsmooth.runs.files import write_bytes
from bbsmooth.runs.reading import Run

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Signs that XML 1.0 has no way to write."""


def junit(run: Run) -> bytes:
    """The document, UTF-8. A claim that is refuted or not shown is a failure.

    Raises:
        UsageError: the run is no acceptance test, or has no summary.
    """
    if run.command != "accept" or run.summary is None:
        raise UsageError(f"{run.place} is no run of `bbsmooth accept` that came to a summary: it has no tests to list")
    claims = run.summary["claims"]
    failures = [claim for claim in claims if claim["answer"] != "shown"]
    numbers = {"tests": str(len(claims)), "failures": str(len(failures)), "errors": "0"}
    time = f"{run.summary['seconds']:.3f}"
    suites = ElementTree.Element("testsuites", numbers | {"time": time})
    suite = ElementTree.SubElement(
        suites, "testsuite", {"name": _written(f"bbsmooth accept {run.manifest['oracle']['name']}")} | numbers
    )
    suite.set("time", time)
    for claim in claims:
        name = f"at least {100 * claim['at_least']:g} % robust at radius {claim['radius']:g}"
        name += f" in {claim['group']}" if claim["group"] else ""
        case = ElementTree.SubElement(suite, "testcase", {"classname": "bbsmooth.accept", "name": _written(name)})
        if claim["answer"] != "shown":
            seen = ", ".join(f"{claim[key]:,} {key}" for key in ("certified", "refuted", "undecided"))
            about = {"type": claim["answer"], "message": f"{claim['answer']} by {claim['images']:,} images"}
            ElementTree.SubElement(case, "failure", about).text = seen
    ElementTree.SubElement(suite, "system-out").text = _written(answer_sentence(run.settings, run.summary))
    return bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)) + b"\n"


def write_junit(run: Run, path: Path) -> None:
    """Write the document.

    Raises:
        UsageError: as `junit`.
        OSError: the file cannot be written.
    """
    write_bytes(path, junit(run))


def _written(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
