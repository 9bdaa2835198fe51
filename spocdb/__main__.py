"""`python -m spocdb`: the command line without the script `spocdb`."""

from importlib import import_module

# Imported by name at run time: the library has no static import of its command line.
import_module("spocdb.cli").main()
