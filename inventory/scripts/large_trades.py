"""An example of a consumer of your own: it says each trade that is larger than LARGE."""

from __future__ import annotations
