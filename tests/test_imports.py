"""Who imports whom, and what comes with an import."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

from features.extraction import CODE

ROOT = Path(__file__).parents[1]
PATHS = [path for pattern in ("*.py", "data/*.py", "features/*.py") for path in ROOT.glob(pattern)]
HEIGHT = {"data": 0, "features": 1}  # the scripts: 2
PACKAGES = {"torch", "torchvision", "cv2", "numpy", "sklearn", "tqdm", "matplotlib"}
PACKAGES |= {"threadpoolctl"}  # which comes with scikit-learn
BELOW_FRAMES = ["data.try_video", "data.layouts", "data.faces"]  # what a child that decodes loads


def module_of(name: str) -> str:
    """data/files.py -> data.files, data/__init__.py -> data"""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(path.relative_to(ROOT).as_posix()): path for path in PATHS}


@cache
def imported_names(module: str) -> set[str]:
    """Dotted names of what a module imports, anywhere in it: data.files, torch.nn, ..."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: name the folder instead of a dot"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"  # from data import files
                names.add(whole if whole in MODULES else node.module)
    return names


@cache
def reachable(module: str) -> set[str]:
    """All modules of the project that are loaded when this one is."""
    found, waiting = set(), [module]
    while waiting:
        new = imported_names(waiting.pop()) & set(MODULES) - found
        found |= new
        waiting += new
    return found


def test_imports_run_downwards_and_only_the_seven_packages_are_used():
    known = PACKAGES | set(HEIGHT) | set(sys.stdlib_module_names)
    for module in MODULES:
        unknown = {name.partition(".")[0] for name in imported_names(module)} - known
        assert not unknown, f"{module} imports {unknown}, which is not in requirements.txt"
        height = HEIGHT.get(module.partition(".")[0], 2)
        for other in reachable(module):
            assert other.partition(".")[0] in HEIGHT, f"{module} loads the script {other}"
            assert HEIGHT[other.partition(".")[0]] <= height, f"{module} loads {other}, above it"
        assert module not in reachable(module), f"{module} imports itself by way of others"
        assert "data.make_sample" not in reachable(module), module
    assert not reachable("data.make_sample")  # it stands alone


def test_all_code_that_features_depend_on_is_part_of_their_recipe():
    rooms = {module_of(name) for name in CODE}
    others = {"data.files", "data.videos", "data.words", "features.run"}  # names, files and threads
    assert reachable("features.resnet18") | {"features.resnet18"} == rooms | others


IMPORT_ALL = """
import importlib, json, sys
modules, found = sys.argv[1:], {}
for module in modules:
    before = set(sys.modules)
    importlib.import_module(module)
    found[module] = sorted(set(sys.modules) - before)
json.dump(found, open("found.json", "w"))
"""


def test_importing_a_room_does_nothing_and_loads_no_room_above_it(tmp_path, monkeypatch):
    """Rooms are imported from the bottom to the top, so what is loaded too early shows.

    What only decodes loads no torch, which takes 3 s and 600 MB: with many workers, a crash would
    be a crash of the memory.
    """
    assert not {"data.frames", "data.faces"} & reachable("data.try_video")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    from_below = sorted(MODULES, key=lambda module: (len(reachable(module)), module))
    modules = [*BELOW_FRAMES, *(module for module in from_below if module not in BELOW_FRAMES)]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})" + IMPORT_ALL
    command = [sys.executable, "-B", "-c", code, *modules]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
    loaded = json.loads((tmp_path / "found.json").read_text())
    for module in modules:
        more = set(loaded[module]) & set(MODULES) - reachable(module)
        more -= {module, module.partition(".")[0]}  # and the folder that it is in
        assert not more, f"importing {module} loads {sorted(more)}"
    for module in BELOW_FRAMES:
        assert not {"torch", "torchvision"} & set(loaded[module]), module
