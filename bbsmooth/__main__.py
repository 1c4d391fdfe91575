"""`python -m bbsmooth`, which `torchrun -m bbsmooth` needs."""

from bbsmooth.cli.main import run

if __name__ == "__main__":
    run()
