"""From settings to objects: the one place that knows how the parts are put together."""

from bbsmooth.assemble.accounts import LEDGER, Account, account, charged, interruption, refuse_small_budget
from bbsmooth.assemble.describing import describe, describe_classifier, describe_coordinator, describe_images
from bbsmooth.assemble.fronts import COORDINATOR, Front, load_coordinator
from bbsmooth.assemble.opening import bare_oracle, images_for, load_images, opened
from bbsmooth.assemble.voting import FINE_BITS, answering, copies_for, copies_of, grid_for, vote_source

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
