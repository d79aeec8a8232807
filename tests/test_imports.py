"""The one arrow: a room imports only from rooms to its left, nothing imports in circles, and heavy
libraries stay where they belong.
"""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("fundenv", "agents", "experiments")

# Room -> the rooms it may import from, apart from itself. Any other edge, and any module that no
# room owns, fails.
LEAVES = {"choices", "settings", "config", "venues"}
KERNEL = {"compiler", "dynamics", "batch"}
ALLOWED: dict[str, set[str]] = {
    "fundenv": {"bundled_path"},  # fundenv/__init__.py registers lazy strings
    "bundled_path": set(),
    "command": {"bundled_path"},  # runs doctor and the scripts by name
    "__main__": {"command"},
    "doctor": {"bundled_path", "compiler", "batch"},  # `--warm` compiles what batches call
    "choices": set(),
    "settings": {"choices"},
    "config": {"choices", "settings"},
    "venues": {"choices", "settings"},
    "compiler": set(),
    "formulas": {"compiler"},
    "market": LEAVES | {"formulas"},
    # rules see numbers and the columns of a bar, never a config or a venue
    "dynamics": {"choices", "market", "formulas", "compiler"},
    "metrics": {"dynamics"},
    "batch": LEAVES | {"market", "formulas", "compiler", "dynamics"},
    "optima": LEAVES | KERNEL | {"market", "formulas"},  # exact optima
    "envs": LEAVES | KERNEL | {"fundenv", "market", "formulas", "metrics", "optima"},
    "forecast": LEAVES | {"market", "formulas"},  # what funding will be
    "live": LEAVES | KERNEL | {"market", "formulas"},  # paper accounts
    "checks": LEAVES | KERNEL | {"fundenv", "market", "formulas", "metrics", "envs"},
}
ALLOWED["agents"] = set(ALLOWED) - KERNEL  # an agent knows observations and actions, not the kernel
ALLOWED["experiments"] = set(ALLOWED)

# What pip installs with `fundenv` alone, and the adapters that exist to bind something else.
# llvmlite is the compiler inside numba
CORE = {"fundenv", "numpy", "pandas", "pyarrow", "numba", "llvmlite", "gymnasium"}
ADAPTERS = {
    "fundenv.envs.sb3",
    "fundenv.envs.sb3_solvable",
    "fundenv.envs.torch",
    "fundenv.envs.rllib",
    "fundenv.batch.cuda",
    "fundenv.batch.cuda_kernels",
    *(
        f"fundenv.forecast.networks.{name}"
        for name in "base coins gradients head nlinear lstm tcn transformer".split()
    ),
}


@cache
def read_modules(root: Path) -> dict[str, ast.Module]:
    """Module name -> syntax tree, for every source file of the three packages below `root`."""
    trees = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            trees[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return trees


def imported(module: str, node: ast.AST, known: set[str]) -> list[str]:
    """Names of the modules that one import statement of `module` reaches; empty for any other
    node.
    """
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:  # relative: counted from the package that holds the module
        holder = (
            module.split(".")
            if any(name.startswith(module + ".") for name in known)
            else module.split(".")[:-1]
        )
        base = ".".join([*holder[: len(holder) - node.level + 1], *([base] if base else [])])
    return [
        f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names
    ]


@cache
def edges(root: Path) -> dict[str, set[str]]:
    """Module -> modules of the three packages that it imports anywhere, inside functions and under
    TYPE_CHECKING too.
    """
    trees = read_modules(root)
    known = set(trees)
    return {
        module: {
            name
            for node in ast.walk(tree)
            for name in imported(module, node, known)
            if name.split(".")[0] in PACKAGES
        }
        for module, tree in trees.items()
    }


def room(module: str) -> str:
    """The room that owns a module: the second part of its name within fundenv, else the package."""
    parts = module.split(".")
    return parts[1] if parts[0] == "fundenv" and len(parts) > 1 else parts[0]


def wrong_edges(root: Path) -> list[str]:
    """One line for each import against the arrow."""
    lines = []
    for module, targets in edges(root).items():
        if room(module) not in ALLOWED:
            lines.append(f"{module}: no room owns it; place it in ALLOWED")
            continue
        for target in sorted(targets):
            if room(target) not in ALLOWED[room(module)] | {room(module)}:
                lines.append(
                    f"{module} imports {target}: {room(module)} may import only from"
                    f" {', '.join(sorted(ALLOWED[room(module)])) or 'nothing'}"
                )
    return lines


def find_cycle(root: Path) -> list[str]:
    """Modules of an import cycle, in order; empty where there is none."""
    graph = {
        module: {target for target in targets if target != module}
        for module, targets in edges(root).items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_a_room_imports_only_from_rooms_to_its_left() -> None:
    assert len(read_modules(ROOT)) > 20
    assert wrong_edges(ROOT) == []


def test_no_import_cycle() -> None:
    assert find_cycle(ROOT) == []


def test_the_arrow_itself_has_no_cycle() -> None:
    assert list(graphlib.TopologicalSorter(ALLOWED).static_order())


def test_fundenv_needs_only_its_core_dependencies_when_imported() -> None:
    strangers = []
    for module, tree in read_modules(ROOT).items():
        if module.split(".")[0] != "fundenv" or module in ADAPTERS:
            continue
        for (
            node
        ) in tree.body:  # what runs at import; lazy imports of extras are what functions are for
            for name in imported(module, node, set()):
                if name.split(".")[0] not in CORE | sys.stdlib_module_names:
                    strangers.append(f"{module} imports {name}")
    assert strangers == []


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import fundenv",
            (
                "numba pandas pyarrow matplotlib torch stable_baselines3 tensorboard scipy ray"
                " statsmodels arch lightgbm fundenv.forecast agents experiments"
            ),
        ),
        (
            "import fundenv.envs.single, fundenv.envs.vector",
            "matplotlib torch stable_baselines3 tensorboard ray agents experiments",
        ),
        (
            "import fundenv.forecast",
            "numba scipy torch statsmodels arch lightgbm scoringrules agents experiments",
        ),
        (
            "import experiments.benchmarking.jobs, experiments.calibrate",
            "matplotlib scipy.stats arch statsmodels torch plotly optuna",
        ),
        ("import agents", "matplotlib torch stable_baselines3 tensorboard ray experiments"),
    ],
)
def test_importing_loads_nothing_heavy(statement: str, absent: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); {statement}; print([n for n in"
        f" {absent.split()!r} if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- the gate itself fails where it should --------------------------------------------------------


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fundenv__market__load", "from fundenv.envs import single"),
        ("fundenv__market__load", "from ..envs import single"),
        ("fundenv__dynamics__step", "def f():\n    import fundenv.config"),
        ("fundenv__envs__single", "import agents.base"),
        ("agents__zscore", "from fundenv.dynamics.step import step_one"),
        ("agents__zscore", "from experiments import train"),
        ("fundenv__cellar", ""),
    ],
)
def test_a_wrong_edge_is_found(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, **({"fundenv__envs__single": ""} | {name: text}))
    assert len(wrong_edges(tmp_path)) == 1


def test_right_edges_pass(tmp_path: Path) -> None:
    write(
        tmp_path,
        fundenv__market__load="from fundenv.venues import load\nfrom . import schema",
        fundenv__market__schema="",
        fundenv__batch__cpu="from ..dynamics.step import step_one",
        agents__zscore="import fundenv.envs.sb3",
        experiments__train="import agents, fundenv.dynamics.types",
    )
    assert wrong_edges(tmp_path) == []
    assert find_cycle(tmp_path) == []


def test_a_cycle_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        agents__a="from agents import b",
        agents__b="def f():\n    from . import c",
        agents__c="import agents.a",
    )
    assert set(find_cycle(tmp_path)) == {"agents.a", "agents.b", "agents.c"}


# --- tests use public names --------------------------------------------------------------------

# private names that no public one stands for, and why a test needs them
PRIVATE = {
    "_setup_learn": "stable-baselines3: a learning stepped by hand",
    "_sample_action": "stable-baselines3: actions given to a replay",
    "_episode_num": "stable-baselines3: episodes counted by a resumed training",
    "_validate_args": "torch.distributions: a switch that must be put back",
}
NAMEDTUPLE = {"_fields", "_replace", "_asdict", "_make"}


def private_names(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, name) of every private attribute of another object than `self`, `cls` or `super()`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found += [(node.lineno, a.name) for a in node.names if a.name[:1] == "_" != a.name[1:2]]
        if not isinstance(node, ast.Attribute) or node.attr[:1] != "_" or node.attr[:2] == "__":
            continue
        owner = node.value
        own = isinstance(owner, ast.Name) and owner.id in ("self", "cls")
        inherited = isinstance(owner, ast.Call) and getattr(owner.func, "id", "") == "super"
        if not (own or inherited or node.attr in NAMEDTUPLE or node.attr in PRIVATE):
            found.append((node.lineno, node.attr))
    return found


def test_tests_use_public_names_alone() -> None:
    rows = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        rows += [f"{path.name}:{line} {name}" for line, name in private_names(tree)]
    assert rows == [], "make the name public, or test what it does for a user"


def test_a_private_name_is_found() -> None:
    tree = ast.parse("from a import _b\nc._d\nself._e\nf._fields")
    assert private_names(tree) == [(1, "_b"), (2, "_d")]
