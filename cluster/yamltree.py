"""Reads YAML without its traps: no key twice, `on` and `no` are words, 010 is not eight."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from cluster.problems import InventoryError, Problem

_MAP, _LIST, _TEXT = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str"))
_NULL, _BOOL, _INT, _FLOAT = (
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")
)


class _Composer(yaml.SafeLoader):
    """Only `true` and `false` are booleans and only plain decimals are numbers, as in YAML 1.2."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012  (PyYAML's own way to say it)


for _tag, _pattern, _first in (
    (_NULL, r"|~|null", ["", "~", "n"]),
    (_BOOL, r"true|false", list("tf")),
    (_INT, r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    (_FLOAT, r"-?(0|[1-9][0-9]*)\.[0-9]+", list("-0123456789")),
):
    _Composer.add_implicit_resolver(_tag, re.compile(rf"^({_pattern})$"), _first)


def read(path: Path, shown_as: Path | str | None = None) -> dict[str, Any]:
    """The mapping in the file `path`.

    Raises InventoryError where the file is missing, empty, not YAML (with line and column), not a
    mapping, or names a key twice.
    """
    file = shown_as if shown_as is not None else path

    def refuse(*problems: Problem) -> InventoryError:
        return InventoryError(problems, file)

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise refuse(Problem("", "no such file; name an inventory that exists")) from None
    except UnicodeDecodeError as error:
        raise refuse(Problem("", f"must be UTF-8 text, is not at byte {error.start}")) from None
    except OSError as error:
        raise refuse(Problem("", f"cannot be read: {error.strerror}")) from None
    try:
        loader = _Composer(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise refuse(Problem(where, f"is not YAML: {error.problem or error.context}")) from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise refuse(Problem("", f"is not YAML: {' '.join(str(error).split())}")) from None
    if node is None:
        raise refuse(
            Problem("", "is empty; inventory/production.example.yml shows what belongs there")
        )
    problems: list[Problem] = []
    tree = _value(node, "", problems, ())
    if problems:
        raise refuse(*problems)
    if not isinstance(tree, dict):
        raise refuse(Problem("", "must be a mapping such as inventory/production.example.yml"))
    return tree


def _value(node: yaml.Node, path: str, problems: list[Problem], above: tuple[int, ...]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in above:
        problems.append(Problem(path, f"must not contain itself (line {line})"))
        return None
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
        return _mapping(node, path, problems, above)
    if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
        return [
            _value(item, f"{path}[{index}]", problems, above)
            for index, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.ScalarNode):
        if node.tag == _TEXT:
            return node.value
        try:
            if node.tag == _NULL:
                return None
            if node.tag == _BOOL:
                return {"true": True, "false": False}[node.value]
            if node.tag == _INT:
                return int(node.value)
            if node.tag == _FLOAT:
                return float(node.value)
        except (KeyError, ValueError):
            pass  # an explicit tag on something else: refused below
    problems.append(Problem(path, f"must be plain YAML, has the tag {node.tag} (line {line})"))
    return None


def _mapping(
    node: yaml.MappingNode, path: str, problems: list[Problem], above: tuple[int, ...]
) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            problems.append(Problem(path, f"a key must be a plain word (line {line})"))
            continue
        name = key.value  # `1:` and `true:` are names like any other
        place = f"{path}.{name}" if path else name
        if name in lines:
            problems.append(Problem(place, f"stands twice, on lines {lines[name]} and {line}"))
            continue
        lines[name] = line
        tree[name] = _value(value, place, problems, above)
    return tree
