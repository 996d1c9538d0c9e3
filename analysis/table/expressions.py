"""Expressions over a table's columns: arithmetic, comparisons and a few functions, checked before pandas sees them."""

from __future__ import annotations

import ast
import keyword
import re

import numpy as np
import pandas as pd

from analysis.errors import UserError
from analysis.table.remarks import with_former_names
from analysis.wording import listed

FUNCTIONS = ("log", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "floor", "ceil")
OPERATORS = ("and", "or", "not", "in", "is", "if", "else", "None", "True", "False")
"""Words of Python that mean something in an expression; other keywords may be columns: lambda, class."""
ALLOWED = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Name, ast.Constant, ast.Load),
    *(ast.List, ast.Tuple, ast.Call, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow),
    *(ast.USub, ast.UAdd, ast.Not, ast.Invert, ast.And, ast.Or, ast.BitAnd, ast.BitOr),
    *(ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
)
ZONE = re.compile(r":\d\d(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)")
"""The time zone of a time in an expression."""
WANTED = (
    f"wanted arithmetic (+ - * / **) and comparisons (== < and or in) of columns, and {', '.join(FUNCTIONS)}; "
    "change the expression"
)


def evaluate(table: pd.DataFrame, expression: str) -> pd.Series:
    """Compute an expression for each row. Column names that are not identifiers are written in `backticks`.

    Arithmetic uses floats, as 64-bit integers would overflow silently in 6*N*D.
    """
    table = with_former_names(table)
    frame, source = _unquote(table, expression)
    tree = _check(source, frame, expression, table.columns)
    computes = any(isinstance(node, ast.BinOp | ast.USub | ast.Call) for node in ast.walk(tree))
    frame = frame.assign(**{name: _as_numpy(frame[name], computes=computes) for name in frame.columns})
    if not ZONE.search(expression):  # times are then meant as the column shows them
        zoned = frame.select_dtypes("datetimetz")
        frame = frame.assign(**{str(name): column.dt.tz_localize(None) for name, column in zoned.items()})
    _check_words(tree, frame, expression)
    try:
        with np.errstate(all="ignore"):
            value = frame.eval(ast.unparse(_Floats().visit(tree)), engine="python")
    except (ArithmeticError, TypeError, ValueError, KeyError, SyntaxError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f'found "{expression}", which cannot be computed ({reason}); wanted numbers; change the expression'
        ) from error
    if isinstance(value, pd.Series):
        return value
    return pd.Series(value, index=table.index)


def _check_words(tree: ast.Expression, frame: pd.DataFrame, expression: str) -> None:
    """Raise `UserError` where a text column is used in arithmetic."""
    computed = [side for node in ast.walk(tree) if isinstance(node, ast.BinOp) for side in (node.left, node.right)]
    for node in computed:
        if (
            isinstance(node, ast.Name)
            and node.id in frame.columns
            and not pd.api.types.is_numeric_dtype(frame[node.id])
        ):
            word = next(iter(frame[node.id].dropna()), "nothing")
            raise UserError(
                f'found {str(word)!r} in a column of "{expression}"; wanted numbers; take another column, or mend it'
            )


def _as_numpy(column: pd.Series, *, computes: bool) -> pd.Series:
    """Return a column with a NumPy dtype, missing values as NaN or False; as floats if it is used in arithmetic."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
        return column
    if pd.api.types.is_bool_dtype(column):
        return column.fillna(False).astype(bool)
    missing = pd.api.types.is_extension_array_dtype(column) and column.isna().any()
    if missing or (computes and pd.api.types.is_integer_dtype(column)):
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index, name=column.name)
    return column.astype(column.to_numpy().dtype)


def mask(table: pd.DataFrame, condition: str) -> pd.Series:
    """Return, for each row, whether it satisfies the condition."""
    value = evaluate(table, condition)
    if value.dtype != bool:
        raise UserError(
            f'found --where "{condition}", which is a number; wanted a comparison such as "loss < 3.4"; add one'
        )
    return value


def _unquote(table: pd.DataFrame, expression: str) -> tuple[pd.DataFrame, str]:
    """Return the columns named in an expression, and the expression with plain names for those that need quoting."""
    named: dict[str, str] = {}

    def plain(match: re.Match[str]) -> str:
        if match[1] not in table.columns:
            raise UserError(f"found no column {match[1]!r}; the table has {listed(table.columns)}; name one of them")
        return named.setdefault(match[1], f"column_{len(named)}_in_backticks")

    source = re.sub(r"`([^`]*)`", plain, expression.strip())
    odd = [str(name) for name in table.columns if str(name) in source and _is_odd(str(name), table)]
    if odd:
        called = {name: r"(?!\s*\()" if name in FUNCTIONS else "" for name in odd}
        words = "|".join(re.escape(name) + called[name] for name in sorted(odd, key=len, reverse=True))
        outside = re.compile(rf"""('[^']*'|"[^"]*")|(?<![\w.])({words})(?![\w.])""")
        source = outside.sub(
            lambda match: match[1] or named.setdefault(match[2], f"column_{len(named)}_in_backticks"), source
        )
    used = [name for name in table.columns if str(name) in source and name not in (*named.values(), *FUNCTIONS)]
    return table[used].assign(**{new: table[old] for old, new in named.items()}), source


def _is_odd(name: str, table: pd.DataFrame) -> bool:
    """Tell whether a column's name cannot be used in an expression unquoted: weight decay, lambda, log."""
    if not name.isidentifier():
        return not _is_arithmetic(name, table)
    return (keyword.iskeyword(name) and name not in OPERATORS) or name in FUNCTIONS


def _is_arithmetic(name: str, table: pd.DataFrame) -> bool:
    """Tell whether a column's name reads as arithmetic of other columns, such as val/loss beside val and loss."""
    parts = re.split(r"\s*[-+*/%]\s*", name)
    return (len(parts) > 1 and all(part in table.columns for part in parts)) or not re.search(r"[A-Za-z]", name)


class _Floats(ast.NodeTransformer):
    """Convert powers of constants to floats, which overflow, while Python's integers would fill the memory."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Convert the constants of a power to floats, unless a column occurs in it."""
        if isinstance(node.op, ast.Pow) and not any(isinstance(part, ast.Name) for part in ast.walk(node)):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, int):
                    part.value = float(part.value)
        return self.generic_visit(node)


def _check(source: str, frame: pd.DataFrame, expression: str, columns: pd.Index) -> ast.Expression:
    """Return the parsed expression; raise `UserError` for anything but arithmetic and comparison of columns.

    Attributes, @ and calls other than `FUNCTIONS` are refused.
    """
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UserError(
            f'found "{expression}", which is no expression; {WANTED}, with odd names in `backticks`'
        ) from None
    lists = _lists_outside_in(tree)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        unknown = isinstance(node, ast.Name) and id(node) not in called and node.id not in frame.columns
        if unknown or isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            is_value = any((frame[column] == name).any() for column in frame.columns)
            do = f"write a word in quotes: '{name}'" if is_value else "name one of them"
            raise UserError(f'found no column {name!r}, named in "{expression}"; the table has {listed(columns)}; {do}')
        if fault := _fault(node) or ("a comma (numbers have none)" if id(node) in lists else ""):
            raise UserError(f'found {fault} in "{expression}"; {WANTED}')
    return tree


def _fault(node: ast.AST) -> str:
    """Return what an expression may not contain, if a node is such a thing; '' if it is not."""
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords
        return "" if known else f"the call {ast.unparse(node)}"
    if not isinstance(node, ALLOWED):
        return type(node).__name__
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Pow) and _huge(node.right):
            return f"the power {ast.unparse(node)} (at most 400)"
        if any(_is_text(side) for side in (node.left, node.right)):
            return f"{ast.unparse(node)[:80]}, arithmetic of a text,"
    return ""


def _lists_outside_in(tree: ast.Expression) -> set[int]:
    """Return the ids of lists that do not follow `in` (or ==, which means the same), such as that of 1,000,000."""
    lists = {id(node) for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple)}
    compared = (node for node in ast.walk(tree) if isinstance(node, ast.Compare))
    pairs = (pair for node in compared for pair in zip(node.ops, node.comparators, strict=True))
    members = ast.In | ast.NotIn | ast.Eq | ast.NotEq
    return lists - {id(right) for operator, right in pairs if isinstance(operator, members)}


def _is_text(node: ast.expr) -> bool:
    """Tell whether an operand is a text or a list, which could fill the memory when multiplied or formatted."""
    return isinstance(node, ast.List | ast.Tuple) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _huge(exponent: ast.expr) -> bool:
    """Tell whether a constant exponent would make Python's integers grow without bound."""
    if any(isinstance(node, ast.Name) for node in ast.walk(exponent)):
        return False
    if any(isinstance(node, ast.Pow) for node in ast.walk(exponent)):
        return True
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, int | float) and abs(node.value) > 400
        for node in ast.walk(exponent)
    )
