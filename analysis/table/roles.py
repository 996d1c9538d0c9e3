"""What the columns of somebody else's table stand for: params for N, tokens for D, val_loss for the loss."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from analysis.errors import UserError
from analysis.table.remarks import with_taken
from analysis.wording import listed

ROLES = {  # of each column of ours: what others call it, in lower case, without spaces and signs
    "N": (
        *("params", "parameters", "nparams", "nparameters", "numparams", "numparameters", "modelparams"),
        *("modelsize", "modelparameters", "paramcount", "parametercount", "totalparams", "totalparameters"),
        *("numberofparameters", "activeparams", "nontrivialparams"),
    ),
    "D": (
        *("tokens", "ntokens", "numtokens", "traintokens", "trainingtokens", "tokensseen", "seentokens", "totaltokens"),
        *("examples", "nexamples", "examplesseen", "seenexamples", "trainingexamples", "samplesseen", "numberoftokens"),
        *("trainingsamples", "imagesseen", "tokencount", "ntokensseen"),
    ),
    "C": (
        *("flops", "flop", "trainflops", "trainingflops", "trainingflop", "totalflops", "totalflop", "compute"),
        *("trainingcompute", "traincompute", "computeflops", "trainflop", "flopstotal"),
    ),
    "loss": (
        *("valloss", "validationloss", "testloss", "evalloss", "finalloss", "finalvalloss", "finaltestloss"),
        *("finalevalloss", "lossval", "losstest", "losseval", "bestvalloss", "crossentropy", "nll", "valcrossentropy"),
    ),
    "error": ("errorrate", "testerror", "valerror", "validationerror", "top1error", "errortest", "finalerror"),
    "width": ("dmodel", "hiddensize", "hiddendim", "modelwidth", "embeddim"),
    "depth": ("nlayers", "nlayer", "numlayers", "layers", "modeldepth", "numhiddenlayers"),
    "D_unique": ("uniquetokens", "uniqueexamples", "uniquedata", "dunique"),
    "budget": ("computebudget", "flopbudget", "flopsbudget", "isoflop"),
}
PROPOSED = {"loss": ("trainloss", "trainingloss"), "N": ("n", "size"), "D": ("d", "data"), "C": ("c", "flopsperstep")}
"""Names that may mean it, and may not: only proposed."""
ACCURATE = ("accuracy", "acc", "top1", "top1acc", "top1accuracy", "exactmatch", "valacc", "valaccuracy", "testaccuracy")
"""Names of a response that rises."""
FORMULAS = {"C": ("C = 6*N*D", "ND"), "D": ("D = C/(6*N)", "CN"), "N": ("N = C/(6*D)", "CD")}
"""What each count is of the two others in a dense network (Kaplan et al. 2020)."""
RISING = 0.5
"""Rank correlation with size from which a response rises."""
PREFIXES = ("config", "summary", "params", "metrics", "hparams", "data", "values", "stats")
"""What trackers put before a name: config.n_params, summary.val/loss, params.lr, metrics.loss."""
UNITS = {
    "k": 1e3,
    "thousand": 1e3,
    "thousands": 1e3,
    "m": 1e6,
    "mn": 1e6,
    "million": 1e6,
    "millions": 1e6,
    "b": 1e9,
    "bn": 1e9,
    "billion": 1e9,
    "billions": 1e9,
    "t": 1e12,
    "trillion": 1e12,
    "trillions": 1e12,
    "mflop": 1e6,
    "gflop": 1e9,
    "tflop": 1e12,
    "pflop": 1e15,
    "eflop": 1e18,
    "zflop": 1e21,
    "pfdays": 8.64e19,
    "pfday": 8.64e19,
    "petaflopdays": 8.64e19,
    "petaflopsdays": 8.64e19,
    "pfsdays": 8.64e19,
}


@dataclass(frozen=True)
class Role:
    """What a column stands for: one of ours, and by what its numbers are multiplied."""

    name: str
    factor: float = 1.0


def recognise(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the columns of ours that it lacks taken from columns of other names, with a note of each.

    Only where one column alone may stand for it. The columns of other names stay.
    """
    found: dict[str, list[tuple[str, float]]] = {}
    for column in table.columns:
        role = role_of(column)
        if role and role.name not in table.columns:
            found.setdefault(role.name, []).append((column, role.factor))
    sure = {name: ways[0] for name, ways in found.items() if len(ways) == 1}
    taken, words = {}, {}
    for name, (column, factor) in sure.items():
        numbers = _numbers(table[column]) if factor != 1 else table[column]
        if numbers is not None:
            taken[name] = numbers * factor if factor != 1 else numbers
            words[name] = f"{column} x {factor:g}" if factor != 1 else str(column)
    return with_taken(table.assign(**taken), words) if taken else table


def role_of(column: object) -> Role | None:
    """Return what a column stands for by its name, in any case and spelling; None for other names."""
    text = str(column).strip()
    if text.lower() in ("loss", "error", "width", "depth", "seed", "budget") and text != text.lower():
        return Role(text.lower())
    for words, factor in _readings(text):
        for name, names in ROLES.items():
            if words in names and (factor == 1 or name in ("N", "D", "C")):
                return Role(name, factor)
        if words in ("N", "D", "C"):
            return Role(words, factor)
    return None


def proposals(table: pd.DataFrame, column: str) -> str:
    """Return how to name or compute a column that is missing, with the table's own names where some may be meant."""
    likely = [str(name) for name in table.columns if _may_be(name, column)]
    if len(likely) == 1:
        return f"name it with --columns {column}={_quoted(likely[0])}, or compute it with --derive"
    if likely:
        return f"{listed(likely)} may be meant: choose one with --columns {column}={_quoted(likely[0])}"
    accurate = [str(name) for name in table.columns if is_accuracy(name)]
    if column == "loss" and "error" in table.columns:
        return "take --y error"
    if column in ("loss", "error") and accurate:
        return error_instead(table, accurate[0])
    others = FORMULAS.get(column)
    if others and set(others[1]) <= set(table.columns):
        return f'name it with --columns, or compute it, for a dense network by --derive "{others[0]}"'
    return "name it with --columns, or compute it with --derive"


def is_accuracy(column: object) -> bool:
    """Tell whether a column is named as a response that rises."""
    return any(words.lower() in ACCURATE for words, _ in _readings(str(column)))


def error_instead(table: pd.DataFrame, accuracy: str) -> str:
    """Return the options that fit an error in place of an accuracy, a share or in per cent."""
    largest = pd.to_numeric(table[accuracy], errors="coerce").max()  # words such as 95 % are read as shares
    scale = " / 100" if largest > 1 else ""
    return f'take --derive "error = 1 - {_ticked(accuracy)}{scale}" --y error'


def refuse_rising(rows: pd.DataFrame, y: str) -> None:
    """Raise `UserError` where the response is named as an accuracy, and rises with size: laws here fall."""
    if is_accuracy(y) and rises(rows, y):
        raise UserError(f"{y} rises with size, and laws fall; {error_instead(rows, y)}")


def rises(rows: pd.DataFrame, y: str) -> bool:
    """Tell whether a response rises with N, D and C together, by rank correlation."""
    sizes = [name for name in ("N", "D", "C") if name in rows.columns]
    if not sizes or len(rows) < 4:
        return False
    size = rows[sizes].apply(pd.to_numeric, errors="coerce").rank().sum(axis=1).rank()
    return bool(pd.to_numeric(rows[y], errors="coerce").rank().corr(size) > RISING)


def _may_be(name: object, column: str) -> bool:
    role = role_of(name)
    if role:
        return role.name == column
    return any(words.lower() in PROPOSED.get(column, ()) for words, _ in _readings(str(name)))


def _readings(text: str) -> list[tuple[str, float]]:
    """Return a name without spaces and signs, with and without a tracker's prefix and a unit at its end."""
    parts = [part for part in re.split(r"[./]", text) if part]
    texts = [text]
    if len(parts) > 1 and parts[0].lower().strip("_") in PREFIXES:
        texts.append(text[len(parts[0]) + 1 :])
    readings = [(_bare(one), 1.0) for one in texts]
    for one in texts:
        match = re.fullmatch(r"(.+?)(?:\s*[(\[]\s*(.+?)\s*[)\]]|[_ ](?:in[_ ])?([A-Za-z-]+))", one)
        unit = re.sub(r"[^a-z]", "", (match[2] or match[3]).lower()).removesuffix("s") if match else ""
        factor = UNITS.get(unit, UNITS.get(unit + "s"))
        if match and factor:
            readings.append((_bare(match[1]), factor))
        power = re.fullmatch(r"(.+?)\s*[(\[]\s*(?:x\s*)?(1e\d+|10\^\d+)\s*\w*\s*[)\]]", one)
        if power:
            readings.append((_bare(power[1]), float(power[2].replace("10^", "1e"))))
        flops = re.fullmatch(r"(?:(\w+)[_ ])?([mgtpez])flops?", one.lower())
        if flops:
            readings.append(("flops", UNITS[f"{flops[2]}flop"]))
    return readings


def _bare(text: str) -> str:
    """Return a name without spaces and signs, in lower case unless it is one letter."""
    bare = re.sub(r"[^A-Za-z0-9]", "", text)
    return bare if len(bare) == 1 else bare.lower()


def _numbers(column: pd.Series) -> pd.Series | None:
    return column.astype(float) if pd.api.types.is_numeric_dtype(column) else None


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.]+", name) else f'"{name}"'


def _ticked(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"
