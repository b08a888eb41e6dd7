"""The shape of the project: who imports whom, and how large and dense a file may be."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ("deepfake_detection_model", "feature_extraction")
FOLDERS = ("data", "features")
FILES = sorted(ROOT.glob("*.py"))
for folder in FOLDERS:
    FILES += sorted((ROOT / folder).glob("*.py"))
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]

# From the bottom to the top. A room that is not named may stand anywhere in its folder.
LEVELS = {
    "data": (
        ("files", "interrupts"),
        ("groups", "decode", "faces"),
        ("layouts", "frames"),
        ("try_video",),
    ),
    "features": (
        ("machine", "metrics", "resnet18"),
        ("cache", "compare"),
        ("splits",),
        ("audit",),
        ("plots", "pictures", "results"),
        ("screen",),
    ),
}
PACKAGES = {"torch", "torchvision", "cv2", "numpy", "sklearn", "tqdm", "matplotlib"}

MOST_LINES = {"deepfake_detection_model": 750, "data.make_sample": 480}  # else 400


def module_of(name: str) -> str:
    """data/files.py -> data.files, data/__init__.py -> data"""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(name): ROOT / name for name in NAMES}


@cache
def read(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


@cache
def imported_names(module: str) -> set[str]:
    """Dotted names of what a module imports, anywhere in it: data.files, torch.nn, ..."""
    names = set()
    for node in ast.walk(ast.parse(read(module))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: name the folder instead of a dot"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"  # from data import files
                names.add(whole if whole in MODULES else node.module)
    return names


def imported_modules(module: str) -> set[str]:
    """Modules of the project that this one imports itself."""
    return imported_names(module) & set(MODULES)


def level_of(module: str) -> int | None:
    folder, _, room = module.partition(".")
    for level, rooms in enumerate(LEVELS.get(folder, ())):
        if room in rooms:
            return level
    return None


@cache
def reachable(module: str) -> set[str]:
    """All modules of the project that are loaded when this one is."""
    found = set()
    waiting = [module]
    while waiting:
        new = imported_modules(waiting.pop()) - found
        found |= new
        waiting += new
    return found


def test_every_room_that_has_a_level_is_there():
    named = set()
    for folder, levels in LEVELS.items():
        for rooms in levels:
            named |= {f"{folder}.{room}" for room in rooms}
    assert named <= set(MODULES)
    assert set(SCRIPTS) == {module for module in MODULES if ROOT / f"{module}.py" in FILES}


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    height = {"data": 0, "features": 1}
    folder = module.partition(".")[0]
    for other in sorted(reachable(module)):
        assert other not in SCRIPTS, f"{module} loads the script {other}"
        other_folder = other.partition(".")[0]
        allowed = height[other_folder] <= height.get(folder, 2)
        assert allowed, f"{module} loads {other}, but {other_folder}/ is above {folder}/"
        level, other_level = level_of(module), level_of(other)
        if other_folder == folder and level is not None and other_level is not None:
            assert other_level <= level, f"{module} loads {other}, which is above it"
    assert module not in reachable(module), f"{module} imports itself by way of others"


def test_the_script_that_draws_stands_alone():
    assert not imported_modules("data.make_sample")
    for module in MODULES:
        assert "data.make_sample" not in imported_modules(module), module


def test_nothing_is_imported_but_the_seven_packages():
    known = PACKAGES | set(FOLDERS) | set(sys.stdlib_module_names)
    for module in MODULES:
        unknown = {name.partition(".")[0] for name in imported_names(module)} - known
        assert not unknown, f"{module} imports {unknown}, which is not in requirements.txt"


IMPORT_ALL = """
import importlib, json, sys
modules, found = sys.argv[1:], {}
for module in modules:
    before = set(sys.modules)
    importlib.import_module(module)
    found[module] = sorted(set(sys.modules) - before)
json.dump(found, open("found.json", "w"))
"""


def test_importing_a_room_does_nothing_and_loads_no_room_above_it(tmp_path):
    """Rooms are imported from the bottom to the top, so what is loaded too early shows."""
    modules = sorted(MODULES, key=lambda module: (len(reachable(module)), module))
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})"]
    command[-1] += IMPORT_ALL
    done = subprocess.run([*command, *modules], cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and done.stderr == ""
    assert [path.name for path in work.iterdir()] == ["found.json"]
    loaded = json.loads((work / "found.json").read_text())
    for module in modules:
        more = set(loaded[module]) & set(MODULES) - reachable(module)
        more -= {module, module.partition(".")[0]}  # and the folder that it is in
        assert not more, f"importing {module} loads {sorted(more)}"


# --- Size and density ---


def lengths_of_functions(source: str) -> dict[str, int]:
    lengths = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lengths[node.name] = max(node.end_lineno - node.lineno + 1, lengths.get(node.name, 0))
    return lengths


def tokens_a_line(source: str) -> float:
    """Words and signs a line that is not blank: 11.5 in nanoGPT's train.py, 10.8 in ppo.py."""
    n_lines = sum(1 for line in source.splitlines() if line.strip())
    return len(re.findall(r"\w+|[^\w\s]", source)) / n_lines


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_easy_to_hold_in_mind(module):
    source = read(module)
    problems = []
    n_lines = len(source.splitlines())
    most = MOST_LINES.get(module, 400)
    if n_lines > most:
        problems.append(f"has {n_lines} lines, at most {most}: has it two jobs?")
    for name, length in lengths_of_functions(source).items():
        most = 99 if module in SCRIPTS and name == "main" else 50
        if length > most:
            problems.append(f"{name}() has {length} lines, at most {most}: name its steps")
    density = tokens_a_line(source)
    if density > 15:
        problems.append(f"has {density:.2f} tokens a line, at most 15: one idea a line")
    assert not problems, f"{MODULES[module].relative_to(ROOT)}: {'; '.join(problems)}"


def test_the_measures_themselves():
    source = "def f(a):\n\n    def g():\n        pass\n\n    return a.b_c + 1.5\n"
    assert lengths_of_functions(source) == {"f": 6, "g": 2}
    assert tokens_a_line(source) == 20 / 4
