"""Runs that live behind a URL: worked on in a local folder, and mirrored so that another machine can go on with them.

A run needs locks, synced writes and a database, which object stores do not have. So it works in a staging folder, and a
`Mirror` brings what is new to the URL: every few seconds, whenever the ledger needs it, and at the end.

What a lost machine takes with it. Files and answers of the last few seconds, which are asked for again. No account:
the ledger at the URL is charged ahead (`bbsmooth.runs.remote.ahead`), and no query is sent that it does not cover; so
what the lost process may have spent unseen stays charged, and the budget holds across machines.
"""

from bbsmooth.runs.remote.naming import name_of
from bbsmooth.runs.remote.place import is_url
from bbsmooth.runs.remote.staging import active_mirror, fetched, holds_run, staged

__all__ = ["active_mirror", "fetched", "holds_run", "is_url", "name_of", "staged"]
