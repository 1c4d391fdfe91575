from .accounts import LEDGER, Account, account, charged, interruption, refuse_small_budget
from .describing import describe, describe_classifier, describe_coordinator, describe_images
from .fronts import COORDINATOR, Front, load_coordinator
from .opening import bare_oracle, images_for, load_images, opened
from .voting import FINE_BITS, answering, copies_for, copies_of, grid_for, vote_source

__all__ = [
    "COORDINATOR",
    "FINE_BITS",
    "LEDGER",
    "Account",
    "Front",
    "account",
    "answering",
    "bare_oracle",
    "charged",
    "copies_for",
    "copies_of",
    "describe",
    "describe_classifier",
    "describe_coordinator",
    "describe_images",
    "grid_for",
    "images_for",
    "interruption",
    "load_coordinator",
    "load_images",
    "opened",
    "refuse_small_budget",
    "vote_source",
]
