"""Laws of the package as a whole: a light import, rooms that build on lower ones only, nothing unsafe."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import randprune_lab

PACKAGE = Path(randprune_lab.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# From the ground up. A module imports only from its own room and from rooms on lower floors.
FLOORS = [
    {"errors", "machine", "progress", "terminal"},
    {"doctor", "files", "registry", "plugins", "stats", "typed"},
    {"sealed", "locks", "notebook_file", "predictions", "masks", "tasks"},
    {"criteria"},
    {"interop", "probe"},
    {"sparse"},
    {"callbacks", "training"},
    {"models"},
    {"search"},
    {"analysis"},
    {"viz", "study", "export"},
    {"exercises"},
    {"report", "bench"},
    {"app", "classroom", "forget"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
PARTS = set().union(*FLOORS)
FACADE = "__init__"  # the package itself hands the names of its rooms to users

HEAVY = {
    "transformers",
    "datasets",
    "evaluate",
    "accelerate",
    "matplotlib",
    "seaborn",
    "pandas",
    "sklearn",
    "papermill",
}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def imported(module: str) -> Iterator[str]:
    """Every module that a module imports anywhere in it, as `package.module` or `package.module.name`."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts(module: str) -> set[str]:
    """The parts of the package that a module imports, such as `masks`."""
    names = (name.split(".") for name in imported(module))
    return {name[1] if len(name) > 1 else FACADE for name in names if name[0] == "randprune_lab"}


def part(module: str) -> str:
    return module.partition(".")[0]


def floor(part: str) -> int:
    (number,) = (number for number, members in enumerate(FLOORS) if part in members)
    return number


USES = {(module, used) for module in MODULES if module != FACADE for used in parts(module)}


# --- imports ---


def test_the_import_is_light():
    """Neither the package nor the command line's help waits for what only a search needs."""
    code = "import json, sys, randprune_lab, randprune_lab.cli as cli; cli.build_parser().format_help(); "
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "randprune_lab" in loaded and not loaded & HEAVY


def test_every_public_name_is_there():
    assert all(getattr(randprune_lab, name) is not None for name in randprune_lab.__all__)
    assert set(randprune_lab.__all__) <= set(dir(randprune_lab))
    assert len(set(randprune_lab.__all__)) == len(randprune_lab.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Votting'"):
        _ = randprune_lab.Votting


def test_the_version_is_said_everywhere_alike():
    root, version = PACKAGE.parent, randprune_lab.__version__
    assert tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"] == version
    assert f"\nversion: {version}\n" in (root / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^## (\S+)", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[0] == version


def test_types_are_shipped():
    """With this file, checkers of those who use the package read its annotations."""
    assert (PACKAGE / "py.typed").is_file()
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["randprune_lab"]


# --- floors ---


def test_every_part_stands_on_one_floor():
    assert {part(module) for module in MODULES} - {FACADE} == PARTS
    assert sum(map(len, FLOORS)) == len(PARTS)


def test_a_module_imports_only_from_its_own_room_and_lower_floors():
    """And not from the package itself, which is above all of them."""
    wrong = {
        (module, used)
        for module, used in USES
        if used not in PARTS or (used != part(module) and floor(used) >= floor(part(module)))
    }
    assert wrong == set()


def test_masks_are_mathematics_alone():
    assert {used for module, used in USES if part(module) == "masks"} <= {
        "errors",
        "files",
        "registry",
        "typed",
        "masks",
    }


def test_statistics_know_nothing_of_pruning():
    assert {used for module, used in USES if part(module) == "stats"} <= {"errors", "stats"}


@pytest.mark.parametrize("top", ["report", "bench", "export", "app", "classroom", "forget"])
def test_only_the_command_line_imports_what_stands_below_it_and_nothing_the_command_line(top):
    pages = (
        {"app", "classroom", "forget"} if top == "report" else set()
    )  # whose pages have policy and style of a report's
    assert {part(module) for module, used in USES if used == top} <= {"commands", top} | pages
    assert {part(module) for module, used in USES if used == "cli"} <= {"__main__"}


# --- what is not done ---


def test_no_pickle_is_read_or_written():
    """A pickle runs code when it is read; files are safetensors and JSON."""
    modules = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    functions = {"torch.load", "torch.save", "np.load", "numpy.load", "pd.read_pickle", "pandas.read_pickle"}
    for module in MODULES:
        calls = {ast.unparse(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)}
        names = set(imported(module))
        assert not {name.partition(".")[0] for name in names} & modules, module
        assert not (calls | names) & functions, module


def test_no_library_is_told_to_run_code_from_files():
    """Options that open pickles, or run code that comes with a model."""
    dangerous = {
        ("allow_pickle", True),
        ("weights_only", False),
        ("trust_remote_code", True),
        ("use_safetensors", False),
    }
    for module in MODULES:
        keywords = [word for node in ast.walk(tree(module)) if isinstance(node, ast.Call) for word in node.keywords]
        given = {(word.arg, word.value.value) for word in keywords if isinstance(word.value, ast.Constant)}
        assert not given & dangerous, module
        readers = [
            node
            for node in ast.walk(tree(module))
            if isinstance(node, ast.Call) and "ForSequence" in ast.unparse(node.func)
        ]
        for reader in readers:
            if ast.unparse(reader.func).endswith(".from_pretrained"):
                assert "use_safetensors" in {word.arg for word in reader.keywords}, module


def test_no_path_of_one_machine():
    """What the kernel itself offers under /proc and /sys is on every Linux."""
    absolute = re.compile(
        r"(?<![\w.})<])(?!/(?:proc|sys)/)(/[a-z]\w*/|/(home|root|tmp|work|Users)\b|~/|[A-Z]:\\)", re.IGNORECASE
    )
    found = {module: absolute.findall(path.read_text("utf-8")) for module, path in MODULES.items()}
    assert {module: paths for module, paths in found.items() if paths} == {}


def test_every_file_of_the_masks_can_be_read_at_once_in_the_order_that_the_door_gives():
    """Lines that are not blank, docstrings and comments included; each file is in the reading order, once."""
    files = {path.stem: path for path in (PACKAGE / "masks").glob("*.py") if path.stem != "__init__"}
    for path in files.values():
        assert sum(bool(line.strip()) for line in path.read_text("utf-8").splitlines()) <= 250, path.name
    door = ast.get_docstring(tree("masks")) or ""
    assert sorted(name for name in re.findall(r"`(\w+)`", door) if name in files) == sorted(files)


# --- doors ---


ROOMS = sorted(name for name, path in MODULES.items() if path.name == "__init__.py" and name in PARTS)


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_hands_its_public_names_to_users(room):
    door = importlib.import_module(f"randprune_lab.{room}")
    assert door.__all__ == sorted(set(door.__all__), key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    for name in door.__all__:
        assert getattr(door, name) is not None
