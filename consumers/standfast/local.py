"""probe.toml: which servers run on this host, where their peers are, and where their data is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from standfast.errors import UserError


@dataclass(frozen=True)
class Server:
    """One server of this host: `kind` is zookeeper or kafka; addresses are "host:port"."""

    kind: str
    unit: str
    address: str
    peers: tuple[str, ...]
    directories: tuple[str, ...]
    broker_id: int | None = None


@dataclass(frozen=True)
class Host:
    """This host: its name, the seconds between two looks, its servers by kind, and the units
    whose restarts are counted.
    """

    name: str
    interval: float
    servers: dict[str, Server]
    units: tuple[str, ...] = ()


KEYS = {"unit": str, "address": str, "peers": list, "directories": list}


def read(path: Path) -> Host:
    """The host as the file says; UserError names the file and the key that is wrong."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(str(path), f"cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(str(path), f"is not TOML: {error}") from error
    unknown = sorted(set(content) - {"host", "interval", "units", "zookeeper", "kafka"})
    if unknown:
        raise UserError(str(path), f"{unknown[0]}: no such key")
    name, interval = content.get("host"), content.get("interval", 2.0)
    if not isinstance(name, str):
        raise UserError(str(path), f"host: should be a name, is {name!r}")
    if isinstance(interval, bool) or not isinstance(interval, int | float) or interval <= 0:
        raise UserError(str(path), f"interval: should be seconds above 0, is {interval!r}")
    units = content.get("units", [])
    if not isinstance(units, list) or not all(isinstance(unit, str) for unit in units):
        raise UserError(str(path), f"units: should be a list of units, is {units!r}")
    kinds: list[str] = [kind for kind in ("zookeeper", "kafka") if kind in content]
    if not kinds:
        raise UserError(str(path), "should have a section [zookeeper] or [kafka], has none")
    servers = {kind: _server(path, kind, content[kind]) for kind in kinds}
    return Host(name, float(interval), servers, tuple(units))


def _server(path: Path, kind: str, section: Any) -> Server:
    if not isinstance(section, dict):
        raise UserError(str(path), f"{kind}: should be a section, is {section!r}")
    keys = KEYS | ({"broker_id": int} if kind == "kafka" else {})
    for key in section:
        if key not in keys:
            raise UserError(str(path), f"{kind}.{key}: no such key; there are {', '.join(keys)}")
    for key, shape in keys.items():
        if not isinstance(section.get(key), shape):
            is_now = repr(section[key]) if key in section else "missing"
            raise UserError(str(path), f"{kind}.{key}: should be a {shape.__name__}, is {is_now}")
    for address in (section["address"], *section["peers"]):
        if not isinstance(address, str) or not _is_address(address):
            raise UserError(str(path), f"{kind}: {address!r} should be host:port")
    return Server(
        kind=kind,
        unit=section["unit"],
        address=section["address"],
        peers=tuple(section["peers"]),
        directories=tuple(str(directory) for directory in section["directories"]),
        broker_id=section.get("broker_id"),
    )


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isdecimal()
