"""The settings that these versions of Kafka, ZooKeeper and librdkafka know: cluster/names/*.json.

Kafka and librdkafka print their own. ZooKeeper has no list: `dist/zookeeper-settings.txt` is ours,
and each name in it must be found in ZooKeeper's classes.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from zipfile import ZipFile

from dist.errors import BuildError

HERE = Path(__file__).parent
FOLDER = HERE.parent / "cluster/names"
ZOOKEEPER_SETTINGS = HERE / "zookeeper-settings.txt"
FEWEST = {"kafka-broker": 200, "kafka-topic": 25, "zookeeper": 100, "librdkafka": 150}
Names = dict[str, dict[str, object]]


class _ConfigPage(HTMLParser):
    """Kafka's own page of settings: per setting a heading with an anchor, then a table of facts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self._name = self._tag = self._fact = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        if tag == "a" and (name := dict(attrs).get("id")) and not self._name:
            self._name = name
            self.found[name] = {}
        elif tag == "h4":
            self._name = ""

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag == "th" and self._name:
            self._fact = data.rstrip(":")
            self.found[self._name][self._fact] = ""  # an empty cell has no data
        elif self._tag == "td" and self._name:
            self.found[self._name][self._fact] += data


def kafka_page(html: str) -> dict[str, dict[str, str]]:
    """Setting -> {"Type": …, "Default": …, "Valid Values": …, …} of Kafka's page."""
    page = _ConfigPage()
    page.feed(html)
    return page.found


def kafka_broker(libs: Path) -> Names:
    """name -> type, default, valid, update ("read-only", "per-broker" or "cluster-wide")."""
    page = kafka_page(_java(libs, "kafka.server.KafkaConfig"))
    return {
        name: {**_common(facts), "update": facts["Update Mode"]} for name, facts in page.items()
    }


def kafka_topic(libs: Path) -> Names:
    """name -> type, default, valid, broker_setting (the broker's default for it)."""
    page = kafka_page(_java(libs, "org.apache.kafka.storage.internals.log.LogConfig"))
    return {
        name: {**_common(facts), "broker_setting": _or_none(facts["Server Default Property"])}
        for name, facts in page.items()
    }


def zookeeper(libs: Path, table: Path = ZOOKEEPER_SETTINGS) -> Names:
    """name -> type, default, property (the JVM's, None if there is none), in_file.

    in_file: whether the name means anything in zookeeper.properties. A name that ends in `*` stands
    for all that begin so. Raises BuildError for a name that ZooKeeper's classes do not hold.
    """
    constants = {c for jar in sorted(libs.glob("zookeeper-*.jar")) for c in _constants(jar)}
    names: Names = {}
    for number, line in enumerate(table.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        place = f"dist/{table.name}:{number}"
        kind, name, type_, default = (*line.split(maxsplit=3), "")[:4]
        stem = name.rstrip("*")
        if (
            kind == "ssl"
        ):  # two channels share these names, and the prefix is put before at run time
            variants, wanted = [f"ssl.{stem}", f"ssl.quorum.{stem}"], stem
        elif kind == "client":
            variants, wanted = [f"ssl.{stem}"], stem
        elif kind in ("file", "java"):
            variants, wanted = [name], stem
        elif kind == "prop":
            variants, wanted = [name], f"zookeeper.{stem}"
        else:
            raise BuildError(
                place, f"begins with {kind!r}; it can be file, prop, ssl, client or java"
            )
        if not {wanted, wanted.rstrip(".")} & constants:
            raise BuildError(place, f"{wanted} is not in the classes of this ZooKeeper: correct it")
        for variant in variants:
            prop = {"file": None, "java": variant}.get(kind, f"zookeeper.{variant}")
            names[variant] = {
                "type": type_,
                "default": default or None,
                "property": prop,
                "in_file": kind != "java",
            }
    return names


def librdkafka(library: Path) -> Names:
    """name -> type, default, range, scope ("P" producer, "C" consumer, "*" both), alias_of."""
    rdkafka, libc = ctypes.CDLL(str(library)), ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    with tempfile.NamedTemporaryFile() as out:
        stream = ctypes.c_void_p(libc.fopen(out.name.encode(), b"w"))
        rdkafka.rd_kafka_conf_properties_show(stream)
        libc.fclose(stream)
        return librdkafka_page(Path(out.name).read_text())


def librdkafka_page(page: str) -> Names:
    """Librdkafka's own table: property | C/P | range | default | importance | description."""
    names: Names = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|", 5)]
        if len(cells) < 6 or cells[0] == "Property" or cells[0].startswith("---"):
            continue
        name, scope, valid, default, _, text = cells
        kind = re.search(r"\*Type: ([^*]+)\*", text)
        alias = re.match(r"Alias for `([^`]+)`", text)
        names.setdefault(
            name,
            {
                "type": kind[1] if kind else "string",
                "default": default or None,
                "valid": valid or None,
                "scope": scope,
                "alias_of": alias[1] if alias else None,
            },
        )
    return names


def check(fresh: dict[str, Names], folder: Path = FOLDER) -> None:
    """Hold the lists just made against the committed ones; the first difference is a BuildError."""
    for title, names in fresh.items():
        path = folder / f"{title}.json"
        place = f"cluster/names/{title}.json"
        how = "`python -m dist --relock` writes it anew; look at the diff"
        try:
            known = json.loads(path.read_text())
        except FileNotFoundError:
            raise BuildError(place, f"is missing: {how}") from None
        except ValueError as error:
            raise BuildError(place, f"is no JSON ({error}): {how}") from None
        for name in sorted(set(names) | set(known)):
            if names.get(name) != known.get(name):
                old, new = (json.dumps(side.get(name)) for side in (known, names))
                raise BuildError(place, f"{name} is {old} there, {new} in what was built: {how}")


def write(fresh: dict[str, Names], folder: Path = FOLDER) -> None:
    """Write the lists, sorted, one setting a line so that a diff can be read."""
    folder.mkdir(parents=True, exist_ok=True)
    for title, names in fresh.items():
        lines = [f"  {json.dumps(n)}: {json.dumps(facts)}" for n, facts in sorted(names.items())]
        part = folder / f"{title}.json.part"
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        part.replace(folder / f"{title}.json")


def plausible(fresh: dict[str, Names]) -> None:
    """Refuse a list so short that the page was not understood."""
    for title, names in fresh.items():
        if len(names) < FEWEST[title]:
            what = f"only {len(names)} settings were understood, {FEWEST[title]} or more expected"
            raise BuildError(f"cluster/names/{title}.json", f"{what}: dist/names.py needs a look")


def _common(facts: dict[str, str]) -> dict[str, object]:
    default = facts.get("Default")  # no row: the setting is required
    if default is not None:
        default = re.sub(r" \([^)]*\)$", "", default)  # "604800000 (7 days)"
        default = None if default == "null" else default.strip('"')
    return {"type": facts["Type"], "default": default, "valid": _or_none(facts["Valid Values"])}


def _or_none(text: str) -> str | None:
    return None if text in ("", "null", "None") else text


def _java(libs: Path, main_class: str) -> str:
    command = ["java", "-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-cp", f"{libs}/*", main_class]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise BuildError("java", "not found: install a JRE, 17 or newer, and run again") from None
    except subprocess.TimeoutExpired:
        raise BuildError("java", f"{main_class} was not done after 60 s; run again") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BuildError("java", f"{main_class} ended with {done.returncode}: {last}")
    return done.stdout


def _constants(jar: Path) -> Iterator[str]:
    """Every text constant of every class in a jar (the JVM specification's section 4.4)."""
    with ZipFile(jar) as opened:
        for name in opened.namelist():
            if name.endswith(".class"):
                yield from class_constants(opened.read(name))


def class_constants(data: bytes) -> Iterator[str]:
    """The CONSTANT_Utf8 entries of one class file."""
    sizes = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4}
    sizes |= {15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
    count, at, index = int.from_bytes(data[8:10], "big"), 10, 1
    while index < count:
        kind, at = data[at], at + 1
        if kind == 1:
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            yield data[at + 2 : end].decode("utf-8", "replace")
            at = end
        else:
            at += sizes[kind]
        index += 2 if kind in (5, 6) else 1  # longs and doubles take two places
