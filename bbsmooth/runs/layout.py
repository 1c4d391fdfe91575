"""The files of a run directory, and the number of their format. No other module spells one of these names."""

from __future__ import annotations

FORMAT = 1
"""Of `manifest.json`, and with it of all other files."""

MANIFEST = "manifest.json"
LEDGER = "ledger.json"
LEDGER_JOURNAL = "ledger.journal"
SUMMARY = "summary.json"

RESPONSES = "responses"
"""Folder of the response cache."""

DATABASE = "cache.db"
"""File of a response cache in its folder, as diskcache calls it."""

EARLIER_RESPONSES = "earlier-responses"
"""Folder of a copy of another run's response cache, for the method "incremental"."""

CERTIFICATES = "certificates.jsonl"
ACCEPTANCE = "acceptance.jsonl"
COMMITMENT = "commitment.json"
STAMP = "commitment.tsr"
ATTESTATION = "attestation.dsse.json"
PREDICTIONS = "predictions.json"
ATTACKS = "attacks.jsonl"

HISTORY = "history.jsonl"
HISTORY_DIGEST = "history.sha256"
"""Number of lines of the history, and SHA-256 over these, while it grows."""

CHECKPOINT = "checkpoint.safetensors"
COORDINATOR = "coordinator.safetensors"
FRONT = "front"
"""Folder for a coordinator that was handed over in memory."""

PRETRAINED = "pretrained.safetensors"
PRETRAINING = "pretraining.json"
STABILISED = "stabilised.safetensors"
STABILITY = "stability.json"
"""The start of a tuning after a surrogate taught it, and what that took."""

HASHED = (".json", ".jsonl", ".safetensors", ".tsr")
"""Endings of files that hold results."""

UNHASHED = (MANIFEST, ATTESTATION)
"""Files whose hashes no manifest holds: itself, and what is written about the run after it has ended."""

CACHES = (RESPONSES, EARLIER_RESPONSES)
"""Folders whose files are databases, and change whenever one opens them."""

ASIDE = ".tmp"
"""Ends the name of a file or folder on its way to its place."""

CHOICE = "sigma_choice"
"""Entry of a manifest: which sigma was chosen, among which, for which radius, and for how many queries."""
