"""What makes a test depend on the speed or load of the machine: clocks in assertions, naps, forks; found in source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TIME = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
CLOCKS = {
    *(f"time.{name}{unit}" for name in TIME for unit in ("", "_ns")),
    *("os.times", "resource.getrusage", "timeit.timeit", "timeit.repeat", "timeit.default_timer"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
}
TAKEN = ("seconds", "gpu_seconds", "examples_per_second")  # keys of records and attempts that hold what a clock said
NAPS = ("time.sleep", "asyncio.sleep")
FORKS = ("os.fork", "os.forkpty", "pty.fork")
STARTS = ("spawn", "forkserver")  # of multiprocessing: not the threads, nor the GPU, of the process that starts them
WORDS = re.compile(  # a source without one of these holds nothing that is looked for
    r"time|\bresource\b|second|sleep|fork|multiprocessing|ProcessPool|benchmarks|asyncio|\bpty\b"
)
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
GROWS = ("append", "add", "extend", "insert", "update")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Scope:
    """A module or function: the names that it binds, and which of them hold what a clock said (`.name`: attributes)."""

    outer: Scope | None = None
    own: set[str] = field(default_factory=set)
    tainted: set[str] = field(default_factory=set)

    def holds(self, name: str) -> bool:
        """Tell whether a name that is seen here holds what a clock said."""
        if name in self.tainted:
            return True
        return name not in self.own and self.outer is not None and self.outer.holds(name)


def timing_faults(source: str, *, naps: bool = False, programs: bool = True) -> list[str]:
    """Return what hangs on the machine, a line and a sentence each.

    `naps`: whether the file may nap; `programs`: whether its strings that are programs are looked into.
    """
    if not WORDS.search(source):
        return []
    tree = ast.parse(source)
    return sorted({*_asserted(tree), *_called(tree, naps=naps), *(_embedded(tree) if programs else ())})


def _asserted(tree: ast.Module) -> Iterator[str]:
    names, scopes = _imports(tree), {tree: Scope()}
    for node, scope in _each(tree, scopes):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            scope.own.add(node.id)
    size = -1
    while size != (size := sum(len(scope.tainted) for scope in scopes.values())):  # until nothing new is found
        for node, scope in _each(tree, scopes):
            for name in _tainted(node, scope, scopes, names):
                (scopes[tree] if name.startswith(".") else scope).tainted.add(name)
    bound = (node for node in ast.walk(tree) if isinstance(node, ast.Assign) and _taken(node.value))
    taken = {name for node in bound for target in node.targets for name in _bound(target)}
    for node, scope in _each(tree, scopes):
        if not isinstance(node, ast.Assert):
            continue
        if _clocked(node.test, scope, names):
            yield f"{node.lineno}: asserts what a clock says"
        elif any(_ordered(part, taken) for part in ast.walk(node.test)):
            yield f"{node.lineno}: asserts that a time is below or above something"


def _each(owner: ast.AST, scopes: dict[ast.AST, Scope], scope: Scope | None = None) -> Iterator[tuple[ast.AST, Scope]]:
    """Yield every node below `owner` with the scope that it stands in."""
    scope = scope or scopes[owner]
    for node in ast.iter_child_nodes(owner):
        yield node, scope
        inner = scopes.setdefault(node, Scope(scope)) if isinstance(node, Function) else scope
        yield from _each(node, scopes, inner)


def _tainted(node: ast.AST, scope: Scope, scopes: dict[ast.AST, Scope], names: dict[str, str]) -> set[str]:
    """Return the names that a node binds to, lets grow by, or makes return what a clock said."""
    found: set[str] = set()
    match node:
        case ast.Assign(targets=targets, value=value) if _clocked(value, scope, names):
            found.update(*map(_bound, targets))
        case (
            ast.AugAssign(target=target, value=ast.expr() as value)
            | ast.AnnAssign(target=target, value=ast.expr() as value)
            | ast.NamedExpr(target=target, value=value)
            | ast.For(target=target, iter=value)
            | ast.comprehension(target=target, iter=value)
            | ast.withitem(optional_vars=ast.expr() as target, context_expr=value)
        ) if _clocked(value, scope, names):
            found = _bound(target)
        case ast.Call(func=ast.Attribute(value=target, attr=verb), args=given) if verb in GROWS:
            if any(_clocked(value, scope, names) for value in given):
                found = _bound(target)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            ends = (part.value for part in ast.walk(node) if isinstance(part, ast.Return | ast.Yield))
            if any(value is not None and _clocked(value, scopes.get(node, scope), names) for value in ends):
                found = {name}
    return found


def _bound(target: ast.expr) -> set[str]:
    """Return what is bound, or added to: names, and attributes as `.name`."""
    match target:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute(attr=name):
            return {f".{name}"}
        case ast.Subscript(value=value) | ast.Starred(value=value):
            return _bound(value)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return set().union(*map(_bound, parts))
    return set()


def _clocked(value: ast.AST, scope: Scope, names: dict[str, str]) -> bool:
    """Tell whether a node names a clock, or a name that holds what one said; peak memory is no time."""
    match value:
        case ast.Attribute(attr="ru_maxrss"):
            return False
        case ast.Name(id=name) if scope.holds(name):
            return True
        case ast.Attribute(attr=name) if scope.holds(f".{name}"):
            return True
    dotted = _dotted(value, names)
    if dotted in CLOCKS or dotted.startswith("tests.benchmarks."):
        return True
    return any(_clocked(part, scope, names) for part in ast.iter_child_nodes(value))


def _ordered(part: ast.AST, taken: set[str]) -> bool:
    """Tell whether a comparison of size has the time of a record or attempt, or a name bound to one, on a side."""
    if not isinstance(part, ast.Compare) or not any(isinstance(sign, ORDER) for sign in part.ops):
        return False
    keys = (node.slice for node in ast.walk(part) if isinstance(node, ast.Subscript))
    direct = any(isinstance(key, ast.Constant) and key.value in TAKEN for key in keys)
    return direct or any(isinstance(node, ast.Name) and node.id in taken for node in ast.walk(part))


def _taken(value: ast.AST) -> bool:
    """Tell whether an expression takes a time out of a record's `how`."""
    for node in ast.walk(value):
        match node:
            case ast.Subscript(
                value=ast.Attribute(attr="how") | ast.Subscript(slice=ast.Constant(value="how")),
                slice=ast.Constant(value=key),
            ) if key in TAKEN:
                return True
    return False


def _called(tree: ast.Module, *, naps: bool) -> Iterator[str]:
    names = _imports(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = _dotted(node.func, names)
        if called in NAPS and not naps:
            yield f"{node.lineno}: naps ({called}); wait for what is to come, with tests.waiting.wait_for"
        if called in FORKS or _may_fork(node, called):
            yield f"{node.lineno}: forks ({called}) a process that may hold a GPU; start a fresh one"


def _may_fork(node: ast.Call, called: str) -> bool:
    if called.endswith("ProcessPoolExecutor"):
        return not any(key.arg == "mp_context" for key in node.keywords)
    owner, _, name = called.rpartition(".")
    if owner not in ("multiprocessing", "torch.multiprocessing"):
        return False
    start = node.args[0] if name == "get_context" and node.args else None
    return not (isinstance(start, ast.Constant) and start.value in STARTS)


def _embedded(tree: ast.Module) -> Iterator[str]:
    """Look into the strings that are programs of their own: what they print, nobody follows."""
    for node in ast.walk(tree):
        program = _program(node)
        if program is None:
            continue
        if _clocked(program, Scope(), _imports(program)):
            yield f"{node.lineno}: reads a clock in a program of its own"
        yield from (f"{node.lineno}: in a program of its own, {said}" for said in _called(program, naps=False))


def _program(node: ast.AST) -> ast.Module | None:
    """Return the program that a string is, None where it is none, or imports nothing; what is filled in counts as 0."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
    else:
        return None
    try:
        found = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    return found if _imports(found) else None


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for, dotted."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                found[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


def _dotted(node: ast.AST, names: dict[str, str]) -> str:
    """Return the dotted name that an expression is, imports resolved; empty where it is none."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = _dotted(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return ""
