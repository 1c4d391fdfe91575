"""Results of a task, written for TensorBoard while it runs; needs the extra `tensorboard`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bbsmooth.errors import UsageError
from bbsmooth.progress.meter import Facts, observing


@contextmanager
def logged(folder: Path | None) -> Iterator[None]:
    """Write every number that tasks in the block tell, over the queries or epochs done; None writes nothing.

    Raises:
        UsageError: TensorBoard is not installed, or cannot write there.
    """
    if folder is None:
        yield
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("`tensorboard` needs `pip install 'bbsmooth[tensorboard]'`") from error
    try:
        writer = SummaryWriter(folder)
    except OSError as error:
        raise UsageError(f"`tensorboard` cannot write to {folder} ({error.strerror}); name another folder") from error

    def write(task: str, done: int, facts: Facts) -> None:
        for name, value in facts.items():
            if isinstance(value, (int, float)):
                writer.add_scalar(f"{task}/{name}", value, done)

    try:
        with observing(write):
            yield
    finally:
        writer.close()
