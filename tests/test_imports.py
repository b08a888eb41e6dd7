"""Who imports whom, and what comes with an import."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from features.extraction import CODE

ROOT = Path(__file__).parents[1]
SCRIPTS = ("deepfake_detection_model", "feature_extraction")
FOLDERS = ("data", "features")
NAMES = []
for pattern in ("*.py", "data/*.py", "features/*.py"):
    NAMES += sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))

PACKAGES = {"torch", "torchvision", "cv2", "numpy", "sklearn", "tqdm", "matplotlib"}
PACKAGES |= {"threadpoolctl"}  # which comes with scikit-learn


def module_of(name: str) -> str:
    """data/files.py -> data.files, data/__init__.py -> data"""
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(name): ROOT / name for name in NAMES}


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


def imported_modules(module: str) -> set[str]:
    """Modules of the project that this one imports itself."""
    return imported_names(module) & set(MODULES)


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


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downwards(module):
    height = {"data": 0, "features": 1}
    folder = module.partition(".")[0]
    for other in sorted(reachable(module)):
        assert other not in SCRIPTS, f"{module} loads the script {other}"
        other_folder = other.partition(".")[0]
        allowed = height[other_folder] <= height.get(folder, 2)
        assert allowed, f"{module} loads {other}, but {other_folder}/ is above {folder}/"
    assert module not in reachable(module), f"{module} imports itself by way of others"


def test_all_code_that_features_depend_on_is_part_of_their_recipe():
    rooms = {module_of(name) for name in CODE}
    others = {"data.files", "data.videos", "data.words", "features.run"}  # names, files and threads
    assert reachable("features.resnet18") | {"features.resnet18"} == rooms | others


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


def import_in_a_process(modules: list[str], folder: Path) -> dict[str, set[str]]:
    """What each of these modules loads that those before it have not; nothing else is done."""
    command = [sys.executable, "-B", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})"]
    command[-1] += IMPORT_ALL
    done = subprocess.run([*command, *modules], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in folder.iterdir()] == ["found.json"]
    loaded = json.loads((folder / "found.json").read_text())
    return {module: set(names) for module, names in loaded.items()}


def test_importing_a_room_does_nothing_and_loads_no_room_above_it(tmp_path, monkeypatch):
    """Rooms are imported from the bottom to the top, so what is loaded too early shows."""
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    modules = sorted(MODULES, key=lambda module: (len(reachable(module)), module))
    (tmp_path / "work").mkdir()
    loaded = import_in_a_process(modules, tmp_path / "work")
    for module in modules:
        more = loaded[module] & set(MODULES) - reachable(module)
        more -= {module, module.partition(".")[0]}  # and the folder that it is in
        assert not more, f"importing {module} loads {sorted(more)}"


def test_a_child_that_only_decodes_loads_no_torch(tmp_path):
    """torch takes 3 s and 600 MB: with many workers, a crash would be a crash of the memory."""
    assert not {"data.frames", "data.faces"} & reachable("data.try_video")
    (tmp_path / "work").mkdir()
    below_frames = ["data.try_video", "data.layouts", "data.faces"]
    loaded = import_in_a_process(below_frames, tmp_path / "work")
    assert not {"torch", "torchvision"} & set.union(*loaded.values())
