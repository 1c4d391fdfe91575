"""`python -m bbsmooth`, which `torchrun -m bbsmooth` needs."""

from bbsmooth.cli.entry import run

if __name__ == "__main__":
    run()
