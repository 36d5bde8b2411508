"""`python -m kaito.cli`: the program, where no `kaito` is on the PATH."""

from kaito.cli.root import main

main()
