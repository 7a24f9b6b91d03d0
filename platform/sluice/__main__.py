"""`python -m sluice`: the command line, where its script is not on the path."""

from sluice.cli.main import run

run()
