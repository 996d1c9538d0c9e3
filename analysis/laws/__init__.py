"""The laws, by name. A new law is one entry of `LAWS`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from analysis.errors import UserError
from analysis.laws.base import Law
from analysis.laws.bent import M3, M4
from analysis.laws.broken import BNSL1, BNSL2
from analysis.laws.constrained_law import constrained, constrained_each, constraints
from analysis.laws.coupled import COUPLED
from analysis.laws.custom import CustomLaw, own_law
from analysis.laws.farseer import FARSEER
from analysis.laws.joint import CHINCHILLA, KAPLAN, WIDTH_DEPTH
from analysis.laws.one_variable import POWER, SATURATING, SHIFTED
from analysis.laws.overfit import OVERFIT
from analysis.laws.repeated import REPEATED
from analysis.laws.steps import STEPS

_ONE = (POWER, SATURATING, SHIFTED, M3, M4, BNSL1, BNSL2)
_JOINT = (CHINCHILLA, KAPLAN, COUPLED, FARSEER, REPEATED, OVERFIT, STEPS, WIDTH_DEPTH)
LAWS: dict[str, Law] = {law.name: law for law in (*_ONE, *_JOINT)}


def laws_of_one_variable() -> tuple[Law, ...]:
    """Return the one-variable laws that are tried by default."""
    return tuple(law for law in LAWS.values() if law.of_one_variable and law.candidate)


def joint_laws() -> tuple[Law, ...]:
    """Return the laws in N and D that are tried by default."""
    return tuple(law for law in LAWS.values() if law.joint and law.candidate)


def get_law(law: str | Law) -> Law:
    """Return the law of a name, or MY_LAW of "my_module:MY_LAW"; a law is returned unchanged.

    Raises `UserError`, listing the names, for an unknown one.
    """
    if isinstance(law, CustomLaw) and law.name in LAWS:
        raise UserError(f"found a law of your own named {law.name!r}, as one of ours; wanted another name; rename it")
    if isinstance(law, Law):
        return law
    if not isinstance(law, str):
        hint = "make a law of it with own_law(...)" if callable(law) else "name one"
        raise UserError(f"found a {type(law).__name__} as the law; wanted a name or a law; {hint}")
    if law in LAWS:
        return LAWS[law]
    if ":" in law:
        return _imported(law)
    raise UserError(f"found the law {law!r}; wanted one of {', '.join(LAWS)}, or one of your own as my_module:MY_LAW")


def _imported(law: str) -> Law:
    """Import a user's law from a module (also in the current directory) or a file: laws/mine.py:MINE."""
    module, _, name = law.rpartition(":")
    path = Path(module)
    here = str(Path.cwd() if path.suffix != ".py" else path.resolve().parent)
    module = path.stem if path.suffix == ".py" else module
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the user's module may raise anything on import
        raise UserError(
            f"found {law!r}, which cannot be imported ({type(error).__name__}: {' '.join(str(error).split())}); "
            "wanted my_module:MY_LAW; change it"
        ) from error
    if isinstance(found, Law):
        return get_law(found)
    raise UserError(f"found {law!r}, which is a {type(found).__name__}; wanted a law, such as own_law(...) makes")


__all__ = [
    "LAWS",
    "Law",
    "constrained",
    "constrained_each",
    "constraints",
    "get_law",
    "joint_laws",
    "laws_of_one_variable",
    "own_law",
]
