"""What one function does with the consumer that it is given, read from its source.

``inspecting`` puts the functions of a consumer together. The function is not run, so all of its
branches are seen, also the one that the next hundred events do not take.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any

#: Methods that change what they are called on.
_CHANGING = {
    *("add", "append", "clear", "difference_update", "discard", "extend", "insert", "pop"),
    *("popitem", "remove", "setdefault", "update"),
}


@dataclass
class Body:
    """What a function does with the consumer."""

    #: What it reads, by attribute, each as it stands there: ``scope`` -> ``self.scope['user']``.
    reads: dict[str, str] = field(default_factory=dict)
    #: The attributes that it sets.
    sets: set[str] = field(default_factory=set)
    #: The attributes whose values it changes in place.
    changes: set[str] = field(default_factory=set)
    #: The methods that it calls by ``super()``.
    supers: set[str] = field(default_factory=set)
    #: The functions that it hands the consumer to, and by which parameter's name.
    helpers: list[tuple[FunctionType, str]] = field(default_factory=list)
    #: Whether it sets names that cannot be known: ``setattr()`` with a variable, or ``__dict__``.
    sets_anything: bool = False
    #: The function itself; None where its source cannot be had.
    tree: ast.AST | None = None


@cache
def read(function: FunctionType, name: str = "") -> Body:
    """Return what a function does with a parameter: with its first one where none is named."""
    tree = _tree(function)
    if tree is None:
        return Body()
    arguments = [one.arg for one in (*tree.args.posonlyargs, *tree.args.args)]
    if not name and not arguments:
        return Body(tree=tree)
    reader = _Reader(function, name or arguments[0])
    for part in [tree.body] if isinstance(tree, ast.Lambda) else tree.body:
        reader.visit(part)
    reader.body.tree = tree
    return reader.body


def plain(member: Any) -> FunctionType | None:
    """Return the function behind a method, a property or what decorators made of it."""
    found = layers(member)
    return None if not found or hasattr(found[-1], "__wrapped__") else found[-1]


def layers(member: Any) -> list[FunctionType]:
    """Return a method's functions: what decorators have put around it first, itself last."""
    found = []
    for _ in range(10):
        if isinstance(member, FunctionType):
            found.append(member)
        # database_sync_to_async keeps it as func, cached_property too.
        names = ("__wrapped__", "__func__", "fget", "func")
        inner = (getattr(member, name, None) for name in names)
        member = next((one for one in inner if one is not None), None)
        if member is None:
            break
    return found


def _tree(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    try:
        # Of the code, since of a decorator's function Python would show the one that it wraps.
        module = ast.parse(textwrap.dedent(inspect.getsource(function.__code__)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    first = module.body[0] if module.body else None
    if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef):
        return first
    lambdas = [node for node in ast.walk(module) if isinstance(node, ast.Lambda)]
    return lambdas[0] if len(lambdas) == 1 else None


class _Reader(ast.NodeVisitor):
    """Goes through a function."""

    def __init__(self, function: FunctionType, name: str) -> None:
        self.body = Body()
        self._function = function
        self._names = {name}

    def _is_consumer(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and node.id in self._names

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._named(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._named(node.target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._named(node.target, node.value)
        self.generic_visit(node)

    def _named(self, target: ast.expr, value: ast.expr | None) -> None:
        """Remember another name of the consumer."""
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        for name, named in pairs:
            if isinstance(name, ast.Name) and named is not None and self._is_consumer(named):
                self._names.add(name.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._is_consumer(node.value):
            if isinstance(node.ctx, ast.Load):
                self.body.reads.setdefault(node.attr, f"self.{node.attr}")
            else:
                self.body.sets.add(node.attr)
        elif not isinstance(node.ctx, ast.Load) and (name := self._attribute(node.value)):
            self.body.changes.add(name)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Attribute) and self._is_consumer(node.target.value):
            name = node.target.attr
            self.body.reads.setdefault(name, f"self.{name}")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        name = self._attribute(node.value)
        if name and not isinstance(node.ctx, ast.Load):
            self.body.changes.add(name)
        elif name and isinstance(node.slice, ast.Constant):
            self.body.reads.setdefault(name, f"self.{name}[{node.slice.value!r}]")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        if isinstance(called, ast.Attribute):
            self._method_called(node, called)
        elif isinstance(called, ast.Name) and called.id in ("getattr", "hasattr", "setattr"):
            self._by_name(called.id, node.args)
        elif isinstance(called, ast.Name) and called.id == "vars":
            self._by_name("getattr", [*node.args, ast.Constant("__dict__")])
        for position, argument in enumerate(node.args):
            if self._is_consumer(argument):
                self._handed_over(called, position)
        for keyword in node.keywords:
            if self._is_consumer(keyword.value) and keyword.arg:
                self._handed_over(called, keyword.arg)
        self.generic_visit(node)

    def _method_called(self, node: ast.Call, called: ast.Attribute) -> None:
        if isinstance(called.value, ast.Call) and getattr(called.value.func, "id", "") == "super":
            self.body.supers.add(called.attr)
        name = self._attribute(called.value)
        if name and called.attr in _CHANGING:
            self.body.changes.add(name)
        if name and called.attr == "get" and node.args and isinstance(node.args[0], ast.Constant):
            self.body.reads.setdefault(name, f"self.{name}[{node.args[0].value!r}]")

    def _by_name(self, function: str, arguments: list[ast.expr]) -> None:
        if len(arguments) < 2 or not self._is_consumer(arguments[0]):
            return
        name = getattr(arguments[1], "value", None)
        if not isinstance(name, str):
            self.body.sets_anything |= function == "setattr"
            return
        if function == "setattr":
            self.body.sets.add(name)
        else:
            self.body.reads.setdefault(name, f"self.{name}")

    def _handed_over(self, called: ast.expr, where: int | str) -> None:
        function = plain(self._resolve(called))
        if function is None:
            return
        names = list(inspect.signature(function).parameters)
        if isinstance(where, int):
            where = names[where] if where < len(names) else ""
        if where in names:
            self.body.helpers.append((function, where))

    def _resolve(self, node: ast.expr) -> Any:
        """Return what a dotted name means in the function's module."""
        if isinstance(node, ast.Name):
            return self._function.__globals__.get(node.id)
        if isinstance(node, ast.Call):  # sync_to_async(visible)(self)
            return self._resolve(node.args[0]) if node.args else None
        if isinstance(node, ast.Attribute):
            owner = self._resolve(node.value)
            return getattr(owner, node.attr, None) if owner is not None else None
        return None

    def _attribute(self, node: ast.AST) -> str | None:
        is_ours = isinstance(node, ast.Attribute) and self._is_consumer(node.value)
        return node.attr if is_ours else None  # type: ignore[attr-defined]


def conditions_of_refusal(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield on what a ``connect()`` makes it depend that it turns a connection away."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and any(map(_refuses, (*node.body, *node.orelse))):
            yield node.test


def _refuses(statement: ast.AST) -> bool:
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "close":
            return True
        if isinstance(node, ast.Raise) and node.exc is not None:
            names = {getattr(one, "id", getattr(one, "attr", "")) for one in ast.walk(node.exc)}
            if names & {"DenyConnection", "StopConsumer"}:
                return True
    return False
