from .accounts import Account, account, charged, refuse_small_budget, tell_prices
from .batch_tuning import batch_executor
from .batching import (
    batch_asker,
    has_asked_by_batch,
    refuse_forgotten_jobs,
    refuse_unfinished_jobs,
    refuse_without_batches,
)
from .describing import describe, describe_classifier, describe_coordinator, describe_front, describe_images
from .fronts import Front, load_coordinator
from .opening import bare_oracle, images_for, load_images, opened, settled
from .subject import Subject
from .voting import answering, copies_for, copies_of, grid_for, vote_source

__all__ = [
    "Account",
    "Front",
    "Subject",
    "account",
    "answering",
    "bare_oracle",
    "batch_asker",
    "batch_executor",
    "charged",
    "copies_for",
    "copies_of",
    "describe",
    "describe_classifier",
    "describe_coordinator",
    "describe_front",
    "describe_images",
    "grid_for",
    "has_asked_by_batch",
    "images_for",
    "load_coordinator",
    "load_images",
    "opened",
    "refuse_forgotten_jobs",
    "refuse_small_budget",
    "refuse_unfinished_jobs",
    "refuse_without_batches",
    "settled",
    "tell_prices",
    "vote_source",
]
