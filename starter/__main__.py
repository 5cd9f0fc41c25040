"""`python -m starter` is `tertulia`."""

from starter.cli import main

main()
