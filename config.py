"""pyinfra's settings, read from the folder it is started in."""

from pyinfra import config

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"
# The first failure stops everything: without this, -y goes on without the hosts it cannot reach.
config.FAIL_PERCENT = 0
config.SUDO = True
