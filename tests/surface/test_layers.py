"""A folder imports only from those above it, files are opened in one place, and only the front ends print."""

import pytest

import holdfast
from tests.helpers.layers import file_breaches, layer_breaches, print_breaches
from tests.helpers.sources import package_sources

SOURCES = package_sources()
PUBLIC: frozenset[str] = frozenset(getattr(holdfast, "__all__", ()))

# The modules that planted imports can reach.
PLANTED = {
    f"holdfast{module}": ""
    for module in (
        "",
        ".errors",
        ".records",
        ".storage",
        ".storage.log",
        ".recording",
        ".recording.recorder",
        ".reading",
        ".reading.loader",
        ".mirrors",
        ".sessions",
        ".sessions.session",
        ".engines",
        ".engines.kira",
        ".workspace",
        ".autosave",
        ".cli",
        ".cli.show",
        ".web",
    )
}


def test_the_source_keeps_the_order_of_layers() -> None:
    assert layer_breaches(SOURCES, PUBLIC) == []


def test_files_are_opened_and_changed_in_one_module_only() -> None:
    assert file_breaches(SOURCES) == []


def test_only_the_front_ends_print() -> None:
    assert print_breaches(SOURCES) == []


def test_the_checks_read_the_whole_package() -> None:
    assert {"holdfast", "holdfast.errors", "holdfast.storage", "holdfast.storage.files"} <= set(SOURCES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("holdfast.records", "from holdfast.storage import log"),
        ("holdfast.storage.log", "import holdfast.recording"),
        ("holdfast.storage.log", "from ..sessions import session"),
        ("holdfast.storage", "from ..sessions import session"),
        ("holdfast.storage.log", "from .. import sessions"),
        ("holdfast.storage.log", "from holdfast import reading"),
        ("holdfast.storage.log", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from holdfast import cli"),
        ("holdfast.storage.log", "def late():\n    from holdfast.sessions.session import Run"),
        ("holdfast.storage.log", "from importlib import import_module\nimport_module('holdfast.sessions')"),
        ("holdfast.storage.log", "from holdfast import session"),
        ("holdfast.storage.log", "import holdfast"),
        ("holdfast.recording.recorder", "from holdfast.reading.loader import load"),
        ("holdfast.reading.loader", "from holdfast.recording import recorder"),
        ("holdfast.mirrors", "from holdfast.recording.recorder import Recorder"),
        ("holdfast.sessions.session", "from holdfast.workspace import Workspace"),
        ("holdfast.engines.kira", "from holdfast.storage.log import Log"),
        ("holdfast.workspace", "from holdfast.autosave import watch"),
        ("holdfast.utils", ""),
        ("holdfast.sessions.session", "from holdfast.utils import helper"),
        ("holdfast", "from holdfast.cli import main"),
        ("holdfast.cli.show", "from holdfast.sessions.session import Run"),
        ("holdfast.cli.show", "from holdfast import sessions"),
        ("holdfast.cli.show", "from holdfast import secret"),
        ("holdfast.cli.show", "import holdfast\nholdfast.sessions.session.Run"),
        ("holdfast.cli.show", "import holdfast as h\nh.secret()"),
        ("holdfast.web", "from holdfast.cli import show"),
        ("holdfast.__main__", "from holdfast.sessions import session"),
    ],
)
def test_an_import_against_the_order_is_found(module: str, source: str) -> None:
    assert [breach.split(":")[0] for breach in layer_breaches({**PLANTED, module: source}, {"session"})] == [module]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("holdfast.records", "from holdfast.errors import InvalidValue\nimport json"),
        ("holdfast.storage.log", "from holdfast import errors\nfrom . import files\nfrom .files import Files"),
        ("holdfast.reading.loader", "from ..storage.log import Log"),
        ("holdfast.sessions.session", "from holdfast.recording import recorder\nfrom holdfast.mirrors import git"),
        ("holdfast.engines.kira", "from holdfast.errors import InvalidValue\nfrom holdfast.engines import kira"),
        ("holdfast.workspace", "from holdfast.sessions.session import Run"),
        ("holdfast", "from holdfast.sessions.session import session\nfrom .workspace import Workspace"),
        ("holdfast.cli.show", "import holdfast\nfrom holdfast import session\nholdfast.session()"),
        ("holdfast.cli.show", "from holdfast.errors import HoldfastError\nfrom .table import rows\nimport typer"),
        ("holdfast.__main__", "from holdfast.cli import main"),
        ("holdfast.storage.log", "from holdfastener import glue"),
    ],
)
def test_an_import_within_the_order_is_let_be(module: str, source: str) -> None:
    assert layer_breaches({**PLANTED, module: source}, {"session"}) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("open('x')", "open"),
        ("import os\nos.replace('a', 'b')", "os.replace"),
        ("import os as system\nsystem.fsync(3)", "os.fsync"),
        ("import os\ndelete = os.unlink", "os.unlink"),
        ("from os import open as os_open", "os.open"),
        ("import shutil\nshutil.rmtree('a')", "shutil.rmtree"),
        ("import tempfile", "tempfile"),
        ("path.write_text('x')", "Path.write_text"),
        ("path.mkdir(parents=True, exist_ok=True)", "Path.mkdir"),
        ("path.unlink()", "Path.unlink"),
        ("path.rename(other)", "Path.rename"),
        ("path.replace(other)", "Path.replace"),
        ("path.open('rb')", "Path.open"),
    ],
)
def test_a_file_changed_elsewhere_is_found(source: str, found: str) -> None:
    breaches = file_breaches({"holdfast.sessions.session": source, "holdfast.storage.files": source})
    assert [breach.split(": ")[1] for breach in breaches] == [found]


@pytest.mark.parametrize(
    "source",
    [
        "files.open(path, write=True)",
        "files.rename(source, target)",
        "files.mkdir(path)",
        "'a'.replace('a', 'b')",
        "replace(settings, name='x')",
        "import os\nos.getpid()",
    ],
)
def test_the_file_interface_is_let_be(source: str) -> None:
    assert file_breaches({"holdfast.sessions.session": source}) == []


def test_a_print_outside_the_front_ends_is_found() -> None:
    source = "import sys\nprint(1)\nsys.stderr.write('x')"
    assert len(print_breaches({"holdfast.sessions.session": source, "holdfast.cli.show": source})) == 2
