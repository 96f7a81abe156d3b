"""The package's order, read from its imports: which wing stands on which, and no circles.

Imports inside of functions count too: they put off a circle, they do not end it. Imports under
``TYPE_CHECKING`` do not count, since nothing is run by them; nor does what a setting names by its
dotted path.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "gatepost"

#: Top down. A wing imports from those below it; those of one line do not import each other.
ORDER = [
    "apps urls pytest_plugin admin templatetags __main__",
    "checks",
    "management",
    "devserver channels testing middleware signals",
    "gatepost",  # The package itself: notify() and what else projects import from it.
    "program answering",
    "sending",
    "signing models",
    "conf",
    "running",
    "state environment throttle marks",
]

#: Packages that are parts of a wing, and stand beside it because their paths are public.
PARTS = {"backends": "sending", "outbox": "sending"}

RANKS = {wing: rank for rank, line in enumerate(ORDER) for wing in line.split()}


@dataclass(frozen=True)
class Import:
    """One name that a module imports from another one."""

    module: str
    source: str
    name: str | None

    def __str__(self):
        return f"{self.module} imports {self.name or 'all'} from {self.source}"


def modules() -> dict[str, Path]:
    """Return the package's modules by their dotted names, without its migrations."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if "migrations" not in parts:
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def wing(module: str) -> str:
    name = module.split(".")[1] if "." in module else module
    return PARTS.get(name, name)


def statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield what is imported where the program runs, in functions as well."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            yield from statements(node)


def imports_of(module: str, source: str) -> Iterator[Import]:
    for node in statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            for one in node.names:
                if one.name in MODULES:
                    yield Import(module, one.name, None)
            continue
        assert node.level == 0, f"{module}: imports are absolute"
        for one in node.names:
            inner = f"{node.module}.{one.name}"
            if inner in MODULES:
                yield Import(module, inner, None)
            elif node.module in MODULES:
                yield Import(module, node.module, one.name)


IMPORTS = [
    one
    for module, path in MODULES.items()
    for one in imports_of(module, path.read_text(encoding="utf-8"))
]


def test_every_module_has_its_place_in_the_order():
    assert {wing(module) for module in MODULES} == set(RANKS)


def test_imports_point_downwards():
    wrong = [
        str(one)
        for one in IMPORTS
        if wing(one.module) != wing(one.source)
        and RANKS[wing(one.module)] >= RANKS[wing(one.source)]
    ]
    assert wrong == []


def test_modules_do_not_import_in_circles():
    graph = {module: set() for module in MODULES}
    for one in IMPORTS:
        graph[one.module].add(one.source)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_private_names_stay_in_their_wing():
    """A name with an underscore may be shared by the modules of one wing at most."""
    wrong = [
        str(one)
        for one in IMPORTS
        if (one.name or one.source.rpartition(".")[2]).startswith("_")
        and not (one.name or one.source.rpartition(".")[2]).startswith("__")
        and wing(one.module) != wing(one.source)
    ]
    wrong += [
        f"{module} reads {text}"
        for module, path in MODULES.items()
        for text in private_attributes(module, ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert wrong == []


def private_attributes(module: str, tree: ast.AST) -> Iterator[str]:
    """Yield ``client._state`` and its like, of modules that were imported from another wing."""
    known = {
        one.source.rpartition(".")[2]: one.source
        for one in IMPORTS
        if one.module == module and one.name is None and wing(one.source) != wing(module)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in known
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
        ):
            yield ast.unparse(node)


def test_what_only_types_need_makes_no_circle():
    source = "if TYPE_CHECKING:\n    from gatepost import conf\nfrom gatepost import state\n"
    assert [one.source for one in imports_of("gatepost.x", source)] == ["gatepost.state"]


def test_imports_in_functions_are_seen():
    source = "def f():\n    from gatepost.sending.client import urls\n"
    assert list(imports_of("gatepost.x", source)) == [
        Import("gatepost.x", "gatepost.sending.client", "urls")
    ]
