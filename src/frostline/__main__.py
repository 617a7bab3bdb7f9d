"""`python -m frostline` is the command line."""

from frostline.cli import main

main()
