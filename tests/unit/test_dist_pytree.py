"""The hosts' Python tree: from wheels of locked hashes alone, for the Python that runs there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dist import pytree
from dist.__main__ import main
from dist.errors import BuildError


def test_a_python_that_no_supported_system_has_is_refused() -> None:
    with pytest.raises(BuildError) as refused:
        pytree.tag("3.10")
    assert str(refused.value) == (
        "python 3.10: is not one of 3.11 (Debian 12), 3.12 (Ubuntu 24.04), 3.13 (Debian 13)"
    )


def test_a_wrong_python_in_the_environment_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONS", "3.11 2.7")
    assert main([]) == 1
    assert capsys.readouterr().err.startswith("standfast: python 2.7: is not one of")


def test_a_missing_requirements_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no such requirements file"):
        pytree.build_tree(tmp_path / "none.txt", "3.11", tmp_path / "out.tar")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If …\n"
            "    kazoo==2.11.0 from https://example.invalid/kazoo.whl (from -r x):\n",
            "kazoo==2.11.0: what was fetched differs from its locked hash; not used",
        ),
        (
            "WARNING: Retrying … NewConnectionError('…')\nERROR: No matching distribution found",
            "pip cannot reach its index: is the network in order? Run again",
        ),
        (
            "pip._vendor.pyproject_hooks…: Cannot import\nNo module named 'flit_core'\n",
            "this Python has no module 'flit_core': run `make setup`, and this with its Python",
        ),
        ("OSError: [Errno 28] No space left on device", "the disk is full: make room and run"),
        (
            "ERROR: Hashes are required in --require-hashes mode, but they are missing from …\n",
            "a package has no hash: make the file with pip-compile --generate-hashes",
        ),
        (
            "ERROR: No version satisfies the requirement a==1 (from",
            "a==1: there is no wheel of it for this Python, and only wheels are taken",
        ),
        ("ERROR: another thing", "pip: another thing"),
        ("", "pip: it said nothing"),
    ],
)
def test_a_page_of_pips_errors_becomes_one_line(output: str, message: str) -> None:
    assert pytree._reason(output).startswith(message)


def test_the_tree_leaves_out_what_differs_from_build_to_build(tmp_path: Path) -> None:
    for name in (
        "kazoo/client.py",
        "kazoo/__pycache__/client.pyc",
        "kazoo-2.dist-info/METADATA",
        "kazoo-2.dist-info/RECORD",
        "bin/script",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    names = sorted(member.name for member in pytree._members(tmp_path))
    assert names == ["lib/kazoo-2.dist-info/METADATA", "lib/kazoo/client.py"]


def start(tmp_path: Path, version: tuple[int, int]) -> subprocess.CompletedProcess[str]:
    """Run the launcher made for `version`, through a link, with a package that says its name."""
    package = tmp_path / "tree/lib/standfast"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("def main():\n    print(__file__)\n    return 3\n")
    command = tmp_path / "tree/bin/standfast"
    command.parent.mkdir()
    python = ".".join(map(str, version))
    command.write_text(pytree._LAUNCHER.format(version=version, python=python))
    (tmp_path / "link").symlink_to(command)
    return subprocess.run(
        [sys.executable, "-IS", tmp_path / "link"], capture_output=True, text=True
    )


def test_the_command_finds_its_tree_through_a_link(tmp_path: Path) -> None:
    done = start(tmp_path, sys.version_info[:2])
    assert done.stdout.strip() == str(tmp_path / "tree/lib/standfast/__main__.py")
    assert done.returncode == 3


def test_the_command_refuses_another_python_than_it_was_made_for(tmp_path: Path) -> None:
    done = start(tmp_path, (3, 2))
    assert done.returncode == 1
    assert done.stderr.startswith("standfast: made for Python 3.2, this host has 3.")
