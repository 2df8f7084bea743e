"""The laws of the house: who may import whom, and that a room is left as easily as it is entered."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"commands", "training", "demo"},
    {"web"},
    {"hub"},
    {"evaluation"},
    {"inference", "doctor"},
    {"networks", "data"},
    {"tasks"},
    {"files"},
    {"command_line"},
    {"errors"},
]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "carmask").rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
}
OWNERS = {"accelerate": "training", "gradio": "demo"}


def imports(path):
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def room(module):
    return module.split(".")[1]


def floor(module):
    return next(place for place, rooms in enumerate(FLOORS) if room(module) in rooms)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward_only(module):
    for other in imports(MODULES[module]) & MODULES.keys():
        assert room(other) == room(module) or floor(other) > floor(module), f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES)
def test_no_command_imports_a_command_and_no_tab_a_tab(module):
    if room(module) == "commands" or module.endswith("_tab"):
        assert not [
            other
            for other in imports(MODULES[module])
            if other != module and (other.startswith("carmask.commands.") or other.endswith("_tab"))
        ]


@pytest.mark.parametrize("module", MODULES)
def test_training_alone_knows_accelerate_and_the_demo_alone_gradio(module):
    for library in {name.split(".")[0] for name in imports(MODULES[module]) if name} & OWNERS.keys():
        assert room(module) == OWNERS[library], f"{module} imports {library}"


def test_no_imports_go_in_a_circle():
    below = {module: imports(path) & MODULES.keys() for module, path in MODULES.items()}
    while below:
        free = [module for module, others in below.items() if not others]
        assert free, f"a circle among {sorted(below)}"
        below = {module: others - set(free) for module, others in below.items() if module not in free}


def test_every_init_file_but_the_top_one_is_empty():
    assert not [path for path in (ROOT / "carmask").glob("*/**/__init__.py") if path.read_text()]


def test_no_folder_holds_more_than_16_files():
    folders = [ROOT / "carmask", *(path for path in (ROOT / "carmask").rglob("*") if path.is_dir())]
    assert not [path for path in folders if len(list(path.glob("*.py"))) > 17]  # with __init__.py


LIGHT = """
import importlib, sys
from PIL import Image
importlib.import_module(sys.argv[1])
if sys.argv[2]:
    from carmask import Predictor
    Predictor.from_pretrained(sys.argv[2])(Image.new("L", (64, 48)))
heavy = {"torch", "transformers", "datasets", "accelerate", "evaluate"} & sys.modules.keys()
assert not heavy, heavy
"""


@pytest.mark.parametrize("module", ["app", "carmask.commands.predict", "carmask.demo.batch_tab"])
@pytest.mark.parametrize("model", ["", "models/car-mask-fcn", "models/car-mask-b0", "models/car-dots-fcn"])
def test_the_page_and_the_command_line_answer_with_an_embedded_model_without_torch(module, model):
    subprocess.run([sys.executable, "-c", LIGHT, module, model], cwd=ROOT, check=True)


@pytest.mark.parametrize("command", ["predict", "uncertain", "publish"])
def test_what_needs_no_data_set_runs_without_the_packages_of_training(command):
    subprocess.run([sys.executable, "-c", LIGHT, f"carmask.commands.{command}", ""], cwd=ROOT, check=True)


LACKING = """
import sys
sys.modules["datasets"] = None  # as if it were not installed
from carmask.__main__ import main
sys.exit(main([sys.argv[1], "--help"]))
"""


@pytest.mark.parametrize("command", ["tune", "compare"])
def test_a_command_that_lacks_a_package_says_how_to_get_it(command):
    done = subprocess.run([sys.executable, "-c", LACKING, command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "datasets is not installed; run pip install '.[train]'" in done.stderr
    assert done.stderr.count("\n") == 1


WITHOUT = """
import builtins, importlib, sys
stock = builtins.__import__
def without(name, globals=None, *rest, **named):
    if name in ("fcntl", "resource") and (globals or {}).get("__name__", "").startswith("carmask"):
        raise ImportError(name)  # libraries have their own way on Windows
    return stock(name, globals, *rest, **named)
builtins.__import__ = without
for module in sys.argv[1:]:
    importlib.import_module(module)
from carmask.files import system
assert system.fcntl is None
sys.platform = "win32"
system.keep_freed_memory(), system.give_freed_memory_back()
assert system.peak_resident_bytes() == 0 and system.is_running(1)
system.lock(open(sys.executable))
"""


def test_every_module_imports_where_the_system_has_neither_fcntl_nor_resource():
    names = [*MODULES, "carmask.__main__", "train_segformer", "app"]
    subprocess.run([sys.executable, "-c", WITHOUT, *names], cwd=ROOT, check=True)
