"""What runs on the hosts, and what a client of the cluster imports.

The library is small: `from standfast.feed import Feed` sends records that must not be lost.
All else are subcommands of `standfast` (see `standfast --help`).
"""

__version__ = "0.1.0"
