"""Pack what a bare CUDA machine without a network needs: `make gpu`, or `python -m experiments.gpu.pack`.

The archive holds the sources of this checkout, and wheels of everything that bbsmooth needs but torch and torchvision,
which come with CUDA and are there already. There: `tar xf bbsmooth-gpu.tar.gz && cd bbsmooth-gpu && python3 -m
experiments.gpu.run`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FOLDER = "bbsmooth-gpu"
NOT_PACKED = frozenset({"bbsmooth", "torch", "torchvision", "triton"})
_OF_CUDA = ("nvidia-", "cuda-")
EXTRAS = ("train", "hf", "diffusion")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def needed(without: Collection[str] = (), extras: Sequence[str] = EXTRAS) -> dict[str, str]:
    """Return the versions of all packages that bbsmooth needs, as they are installed here, by name.

    Args:
        without: packages that are there already.
        extras: of bbsmooth.
    """
    left, found = _required("bbsmooth", extras), dict[str, str]()
    while left:
        name = left.pop()
        if name in found or name in NOT_PACKED or name in without or name.startswith(_OF_CUDA):
            continue
        found[name] = metadata.version(name)
        left |= _required(name, ())
    return found


def _required(package: str, extras: Sequence[str]) -> set[str]:
    """Names of what a package needs on this kind of machine."""
    wanted = map(Requirement, metadata.requires(package) or ())
    return {
        _normalised(one.name)
        for one in wanted
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    }


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def fetch(packages: dict[str, str], folder: Path, python: str) -> None:
    """Put the wheels of packages for a version of Python on x86-64 Linux into a folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, "--dest", str(folder)]
    command += [part for platform in PLATFORMS for part in ("--platform", platform)]
    subprocess.run([*command, *(f"{name}=={version}" for name, version in packages.items())], check=True)


def pack(archive: Path, wheels: Path, given: Mapping[str, Path | None]) -> None:
    """Write the archive: tracked files, wheels, and the folders that are given, below `data` by their names."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        for name in filter(None, listed.decode().split("\0")):
            tar.add(ROOT / name, f"{FOLDER}/{name}")
        tar.add(wheels, f"{FOLDER}/wheels")
        for name, folder in given.items():
            if folder is not None:
                tar.add(folder.resolve(), f"{FOLDER}/data/{name}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch and pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / f"{FOLDER}.tar.gz")
    parser.add_argument("--python", default="3.12", help="version of Python there")
    parser.add_argument("--without", nargs="*", default=[], metavar="PACKAGE", help="packages that are there already")
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10 as parquet files, to train on there")
    parser.add_argument("--diffusion", type=Path, help="folder of a diffusers model of its images, to denoise there")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder)
        fetch(needed({_normalised(name) for name in given.without}), wheels, given.python)
        pack(given.out, wheels, {"cifar10": given.cifar, "diffusion": given.diffusion})
        print(f"{given.out}: {given.out.stat().st_size / 2**20:.0f} MiB, {len(list(wheels.iterdir()))} wheels")


if __name__ == "__main__":
    main()
