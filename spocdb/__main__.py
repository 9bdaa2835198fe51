"""The program `spocdb`, also as `python -m spocdb`."""

import signal
from importlib import import_module


def main() -> None:
    """Run the command line."""
    # Ctrl-C while the command line is imported ends the process silently; from then on it handles
    # signals itself. One that the parent ignores stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Imported by name at run time: the library has no static import of its command line.
    import_module("spocdb.cli").main()


if __name__ == "__main__":
    main()
