"""A folder behind a URL, through fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bbsmooth.errors import UsageError, without_passwords

_REPLACING = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
"""Stores that put a whole object over another; elsewhere a file is written aside and then renamed."""

_ASIDE = ".tmp"


def is_url(out: str) -> bool:
    """True if a run is named by a URL and not by a local path."""
    return "://" in out


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that holds a run.

    Attributes:
        url: as given.
    """

    url: str
    _files: Any
    _root: str

    @classmethod
    def at(cls, url: str) -> Place:
        """The folder behind a URL that fsspec understands (s3://, gs://, abfs://, sftp://, file://, ...).

        Raises:
            UsageError: it does not, needs a package that is not installed, or the URL holds a password.
        """
        import fsspec  # here, because runs on this machine do without
        from fsspec.implementations.cached import CachingFileSystem

        if without_passwords(url) != url:
            raise UsageError(
                "a password in the URL of a run would end up in its manifest; give it by the environment, or in "
                "fsspec's configuration"
            )
        try:
            files, root = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise UsageError(f"{url} needs a package that is not installed: {error}") from error
        except Exception as error:  # each file system has errors of its own
            raise UsageError(f"{url} cannot be opened: {type(error).__name__}: {error}") from error
        if isinstance(files, CachingFileSystem):
            raise UsageError(f"{url} keeps local copies that grow old; name what stands after '::' alone")
        return cls(url.rstrip("/"), files, root.rstrip("/"))

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return PurePosixPath(self.url.partition("://")[2]).name or "run"

    def names(self, below: str = "") -> set[str]:
        """Paths of all files, relative to the folder, or to the one called `below` in it.

        Raises:
            OSError: the store cannot be reached, or refuses.
        """
        with self._explained("list"):
            self._files.invalidate_cache()
            root = self._path(below) if below else self._root
            try:
                return {path[len(root) :].lstrip("/") for path in self._files.find(root)}
            except FileNotFoundError:
                return set()

    def read(self, name: str) -> bytes | None:
        """The content of a file, None where there is none.

        Raises:
            OSError: the store cannot be reached, or refuses.
        """
        with self._explained("read", name):
            try:
                raw: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return raw

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to a local path.

        Raises:
            OSError: the store cannot be reached, or refuses; or the disk does.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._explained("read", name):
            self._files.get_file(self._path(name), str(target))

    def write(self, name: str, raw: bytes) -> None:
        """Replace a file: a reader sees the old content or the new.

        Raises:
            OSError: the store cannot be reached, or refuses.
        """
        with self._explained("write", name), self._replacing(name) as path:
            self._files.pipe_file(path, raw)

    def put(self, name: str, source: Path) -> None:
        """Replace a file by a local one: a reader sees the old content or the new.

        Raises:
            OSError: the store cannot be reached, or refuses.
        """
        with self._explained("write", name), self._replacing(name) as path:
            self._files.put_file(str(source), path)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            OSError: the store cannot be reached, or refuses.
        """
        with self._explained("remove", name):
            try:
                self._files.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if self._root else name

    @contextmanager
    def _replacing(self, name: str) -> Iterator[str]:
        """The path to write to; at the end it is in place."""
        from fsspec.implementations.dirfs import DirFileSystem

        path, inner = self._path(name), self._files
        while isinstance(inner, DirFileSystem):
            inner = inner.fs
        protocols = {inner.protocol} if isinstance(inner.protocol, str) else set(inner.protocol)
        if protocols & _REPLACING:
            yield path
            return
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        yield path + _ASIDE
        self._files.mv(path + _ASIDE, path)

    @contextmanager
    def _explained(self, verb: str, name: str = "") -> Iterator[None]:
        """One clear line for whatever a file system raises.

        Raises:
            OSError: for any error.
        """
        try:
            yield
        except Exception as error:
            what = f"{self.url}/{name}".rstrip("/")
            raise OSError(f"cannot {verb} {what}: {type(error).__name__}: {error}") from error
