"""`python -m spocdb`: the command line, where no script of that name is on the PATH."""

from importlib import import_module

# By its installed name: the library itself never imports its command line.
import_module("spocdb.cli").main()
