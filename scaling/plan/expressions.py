"""Expressions in sweep files: arithmetic and comparison of named quantities, parsed without evaluating Python."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scaling.errors import UserError

Lookup = Callable[[str], Any]  # a name such as "width" or "model.width" to its value

ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda a, b: float(a) ** b,  # in floats: repeated powers overflow instead of taking forever
}
COMPARISON: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
SIGNS: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: lambda value: not _truth(value),
}


@dataclass(frozen=True)
class Expression:
    """A parsed expression; `text` is what the user wrote."""

    text: str
    tree: ast.expr

    def evaluate(self, lookup: Lookup) -> Any:
        """Compute the value; UserError if a name is unknown or the arithmetic fails."""
        try:
            value = _value(self.tree, lookup)
        except (ArithmeticError, TypeError) as error:
            raise UserError(f"found {self.text!r}, which cannot be computed ({error}); change the expression") from None
        if isinstance(value, complex) or (isinstance(value, int | float) and not _is_finite(value)):
            shown = "beyond all bounds" if isinstance(value, int) else value
            raise UserError(f"found {self.text!r} = {shown}; wanted a finite real number; change the expression")
        return value

    def first_false(self, lookup: Lookup) -> Expression | None:
        """Return the first false part of a chain of `and`, None if all are true; UserError for one that is neither."""
        parts = self.tree.values if isinstance(self.tree, ast.BoolOp) and isinstance(self.tree.op, ast.And) else None
        for part in parts or [self.tree]:
            condition = Expression(ast.unparse(part), part)
            if not condition.holds(lookup):
                return condition
        return None

    def holds(self, lookup: Lookup) -> bool:
        """Return whether a condition holds; UserError for a value that is neither true nor false."""
        value = self.evaluate(lookup)
        try:
            return _truth(value)
        except TypeError:
            raise UserError(
                f"found the condition {self.text!r}, whose value is {value}; wanted a comparison such as "
                f"{self.text} > 0; change it"
            ) from None

    def names(self) -> list[str]:
        """Return the names in the expression, in order of appearance."""
        found = [_dotted(node) for node in ast.walk(self.tree) if isinstance(node, ast.Name | ast.Attribute)]
        whole = [name for name in found if not any(other.startswith(name + ".") for other in found)]
        return list(dict.fromkeys(whole))


def parse(text: Any, *, where: str) -> Expression:
    """Parse an expression or a number; UserError names parts that are not arithmetic or comparison."""
    source = str(text)
    if "${" in source:
        raise UserError(
            f"found {where}: {source!r}, whose ${{…}} differs from run to run; wanted names of keys alone, such as "
            f"1e-3 * model.width; write the key's name"
        )
    try:
        tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(
            f"found {where}: {source!r}, which is no expression; wanted arithmetic such as "
            f"3e-3 * (width / 64) ** -0.5; change it"
        ) from None
    _check(tree, source, where)
    return Expression(source, tree)


def _check(node: ast.expr, source: str, where: str) -> None:
    match node:
        case ast.Constant(value=int() | float() | str()) | ast.Name():
            children: list[ast.expr] = []
        case ast.Attribute(value=ast.Name() | ast.Attribute() as inner):
            children = [inner]
        case ast.UnaryOp(op=op, operand=inner) if type(op) in SIGNS:
            children = [inner]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            children = [left, right]
        case ast.BoolOp(values=values):
            children = values
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in COMPARISON for op in ops):
            children = [left, *rest]
        case _:
            raise UserError(
                f"found {ast.unparse(node)!r} in {where}: {source!r}; wanted arithmetic, comparison, and, or, not; "
                f"change the expression"
            )
    for child in children:
        _check(child, source, where)


def _value(node: ast.expr, lookup: Lookup) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name() | ast.Attribute():
            return lookup(_dotted(node))
        case ast.UnaryOp(op=op, operand=inner):
            return SIGNS[type(op)](_value(inner, lookup))
        case ast.BinOp(left=left, op=op, right=right):
            return ARITHMETIC[type(op)](_number(_value(left, lookup)), _number(_value(right, lookup)))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_truth(_value(value, lookup)) for value in values)
        case ast.BoolOp(values=values):
            return any(_truth(_value(value, lookup)) for value in values)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            values = [_value(item, lookup) for item in [left, *rest]]
            pairs = zip(ops, values[:-1], values[1:], strict=True)
            return all(_compared(op, a, b) for op, a, b in pairs)
    raise TypeError(f"unchecked node {ast.dump(node)}")


def _compared(op: ast.cmpop, a: Any, b: Any) -> bool:
    """Compare two values; TypeError for a number and a string, unless it is empty, which equals no number."""
    if isinstance(a, str) != isinstance(b, str):
        if "" in (a, b):  # a table's cell without a value
            return isinstance(op, ast.NotEq)
        raise TypeError(f"{a!r} and {b!r} are a number and a text")
    return COMPARISON[type(op)](a, b)


def _truth(value: Any) -> bool:
    """Return a truth value; TypeError for a number or a text, which as a condition would hold for all cells or none."""
    if not isinstance(value, bool):
        raise TypeError(f"{str(value)[:40]!r} is neither true nor false")
    return value


def _number(value: Any) -> int | float:
    """Return a number; TypeError for other values, such as a string, whose product with a number can fill memory."""
    if not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} is no number")
    return value


def _is_finite(value: int | float) -> bool:
    """Return whether a number is finite and representable as a float."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _dotted(node: ast.expr) -> str:
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else node.id  # type: ignore[attr-defined]
