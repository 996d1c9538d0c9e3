"""Recognise columns of an external table: params is N, tokens is D, val_loss is the loss."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import pandas as pd

from analysis.errors import UserError
from analysis.table.recognise.examples_seen import examples_seen, is_factor
from analysis.table.recognise.other_shapes import chart_curves, named_by_values, named_in_rows, one_metric, one_row_each
from analysis.table.recognise.statuses import plain_name
from analysis.table.recognise.written_numbers import NATS, counts_alone, factor_of, flops_of, read_numbers
from analysis.table.remarks import with_taken
from analysis.wording import in_quotes, listed, one_word, ticked

ROLES = {  # for each of our columns its names in other tables, in lower case, without spaces and signs
    "N": (
        *("params", "parameters", "nparams", "nparameters", "numparams", "numparameters", "modelparams"),
        *("modelsize", "modelparameters", "paramcount", "parametercount", "totalparams", "totalparameters"),
        *("numberofparameters", "activeparams", "nontrivialparams", "nonembeddingparams", "nonembedparams"),
        *("nonembeddingparameters", "paramsnonembedding", "nparamsnonembedding", "nonembparams"),
    ),
    "D": (
        *("tokens", "ntokens", "numtokens", "traintokens", "trainingtokens", "tokensseen", "seentokens", "totaltokens"),
        *("examples", "nexamples", "examplesseen", "seenexamples", "trainingexamples", "samplesseen", "numberoftokens"),
        *("trainingsamples", "imagesseen", "tokencount", "ntokensseen", "trainexamples", "trainsamples", "trainimages"),
    ),
    "C": (
        *("flops", "flop", "trainflops", "trainingflops", "trainingflop", "totalflops", "totalflop", "compute"),
        *("trainingcompute", "traincompute", "computeflops", "trainflop", "flopstotal"),
        *("totalcompute", "totaltraincompute", "totaltrainingcompute"),
    ),
    "loss": (
        *("valloss", "validationloss", "testloss", "evalloss", "finalloss", "finalvalloss", "finaltestloss"),
        *("finalevalloss", "lossval", "losstest", "losseval", "bestvalloss", "crossentropy", "nll", "valcrossentropy"),
    ),
    "error": (
        *("errorrate", "testerror", "valerror", "validationerror", "top1error", "errortest", "finalerror", "err"),
        *("top1err", "testerr", "valerr", "errrate"),
    ),
    "width": ("dmodel", "hiddensize", "hiddendim", "modelwidth", "embeddim"),
    "depth": ("nlayers", "nlayer", "numlayers", "layers", "modeldepth", "numhiddenlayers"),
    "D_unique": ("uniquetokens", "uniqueexamples", "uniquedata", "dunique"),
    "budget": ("computebudget", "flopbudget", "flopsbudget", "isoflop"),
}
PROPOSED = {
    "loss": re.compile(
        r"loss|cross_?entropy|(^|_)(l|nll|xent|ce|bpb|bpc|bits_per_(byte|char|character|token))(_|$)|neg(ative)?_log_?lik"
    ),
    "error": re.compile(r"(^|_)(err|error|wer|cer)(_|$)"),
    "N": re.compile(r"param|(^|_)(n|size|weights)(_|$)|non_?emb"),
    "D": re.compile(r"(^|_)(d|data|dataset_size)(_|$)|token|example|sample|sequence|image"),
    "C": re.compile(r"(^|_)c(_|$)|flop|compute|pf_?s?_?days?"),
}
"""Parts of names that may indicate a column; such columns are only proposed."""
LATER = re.compile(r"(^|_)(min|max|std|sd|se|sem|stderr|var|ema|smoothed|lr|type|fn|weight|scale)(_|$)")
"""Parts of names that are proposed last."""
LOG = re.compile(r"(log10|log2|log|ln|lg)[ _(]*(.+?)\)?", re.IGNORECASE)
POWERS = {"log10": "10**{}", "lg": "10**{}", "log2": "2**{}", "ln": "exp({})"}
NATURAL = {"N": 14.0, "D": 15.0, "C": 28.0}
"""Value above which an unspecified logarithm of a count is a natural one."""
PERPLEXITY = re.compile(r"(^|_)(ppl|perplexity)(_|$)")
INSTEAD = {  # formulas for the loss from other measures of a model's predictions
    PERPLEXITY: "log({})",
    re.compile(r"^(?!.*neg).*?(^|_)(ll|loglik|log_likelihood|logprob|log_prob|elbo)(_|$)"): "-{}",
}
ACCURATE = re.compile(
    r"(?!.*grad)(.*_|val|test|eval)?((top_?[15]_?)?acc(uracy)?_?[15]?|top_?[15]|exact_?match)(_norm|_none|_mean|_avg)*"
)
"""Names of responses that rise with size, also after a task's: imagenet_top1, hellaswag/acc_norm."""
FORMULAS = {"C": ("C = 6*N*D", "ND"), "D": ("D = C/(6*N)", "CN"), "N": ("N = C/(6*D)", "CD")}
"""Each of N, D and C computed from the other two for a dense network (Kaplan et al. 2020)."""
RISING = 0.5
"""Rank correlation with size from which a response counts as rising."""
PREFIXES = (
    *("config", "summary", "params", "metrics", "hparams", "parameters", "hyperparameters"),
    *("data", "values", "stats", "model", "train", "training"),
)
"""Prefixes of names by trackers: config.model.n_params, summary.val/loss, params.lr, metrics.loss."""
TRACKERS = PREFIXES[:7]
TRIAL = ("user_attrs_", "params_")
"""The same of Optuna: user_attrs_tokens, params_n_layers."""
OWN = ("loss", "error", "width", "depth", "seed", "budget")
"""Our columns whose names are always taken as they are."""
COUNTS = ("N", "D", "C")
SMALL = {"loss": NATS, "error": 0.01}
"""The unit besides their own that a column of each may be in: bits, per cent."""
SPENT = ("train", "training", "total", "model", "compute", "train_compute", "training_compute")
"""Prefixes of a unit of compute spent, as in train_gflops; throughput_tflops is not compute spent."""
UNIT_AT_END = (
    re.compile(r"(.+?)\s*[(\[]\s*(.+?)\s*[)\]]\W*"),
    re.compile(r"(?!.[_ ][a-z]$)(.+?)[_ ](?:in[_ ])?([A-Za-z-]+)"),
    re.compile(r"(.+?)\s*/\s*([A-Za-z]+|1e\d+)"),
    re.compile(r"(.+?)[_ ]*(%)"),
    re.compile(r"(.+?)[_ ]*((?:[x×*]\s*)?(?:1?e|10\^)\d+)"),
)
"""A unit behind a name: params (M), tokens [B], params_in_millions, tokens/B, flops_1e18, FLOPs x1e18; not N_p."""


@dataclass(frozen=True)
class Role:
    """The role of a column: the name of ours, and the factor of its unit."""

    name: str
    factor: float = 1.0


def recognise(table: pd.DataFrame) -> pd.DataFrame:
    """Add our columns that a table lacks from columns with other names, with a note of each.

    Only where exactly one column matches. The original columns are kept.
    """
    found: dict[str, list[tuple[str, float]]] = {}
    values = named_by_values(table)
    for column in (name for name in table.columns if str(name) not in values):
        role = role_of(column)
        if role and role.name not in table.columns:
            found.setdefault(role.name, []).append((column, role.factor))
    for name in SMALL.keys() & found:  # one in its own unit comes before the same in bits or per cent
        found[name] = [way for way in found[name] if way[1] == 1] or found[name]
    sure = {name: ways[0] for name, ways in found.items() if len(ways) == 1}
    taken, words = {}, {}
    for name, (column, factor) in sure.items():
        numbers = _numbers(table[column]) if factor != 1 else table[column]
        if numbers is not None:
            taken[name] = numbers * factor if factor != 1 else numbers
            words[name] = f"{column} x {factor:g}" if factor != 1 else str(column)
    return with_taken(table.assign(**taken), words) if taken else table


def role_of(column: object) -> Role | None:
    """Return the role of a column by its name, in any case and spelling; None for unknown names."""
    text = unicodedata.normalize(
        "NFKC", re.sub(r"10[⁰¹²³⁴⁵⁶⁷⁸⁹]", lambda match: f"10^{match[0][2]}", str(column))
    ).strip()
    if text in OWN:
        return None
    for words, factor in _readings(text):
        names = [words] if words in OWN else [name for name, others in ROLES.items() if words in others]
        for name in names:
            if factor in (1, SMALL.get(name)) or (factor > 1 and name in COUNTS):
                return Role(name, factor)
        if words in COUNTS and factor >= 1:
            return Role(words, factor)
    return None


def is_known(column: object) -> bool:
    """Tell whether a column has one of our names or another usual name for one of them."""
    return column in ROLES or role_of(column) is not None


def _ours(word: str) -> str:
    """Return our name of a column; '' for unknown ones."""
    role = role_of(word)
    return word if word in ROLES else role.name if role else ""


def proposals(table: pd.DataFrame, column: str) -> str:
    """Return how to name or compute a missing column, with candidates among the table's columns."""
    if computed := _computed(table, column):
        return f"compute it by --derive {in_quotes(f'{column} = {computed}')}"
    likely = [str(name) for name in table.columns if _may_be(name, column)]
    values = named_by_values(table) if column in COUNTS else []
    if values and set(likely) <= set(values):
        return one_row_each(values, column)
    likely.sort(key=lambda name: (column == "loss" and "train" in name.lower(), bool(LATER.search(plain_name(name)))))
    if len(likely) == 1:
        return f"name it with --columns {column}={one_word(likely[0])}, or compute it with --derive"
    if likely:
        said = f"{listed(likely, 10)} may be meant: choose one with --columns {column}={one_word(likely[0])}"
        if len({re.sub(r"(?<=[^\d.])\d+$", "", name) for name in likely}) > 1:
            return said
        mean = f"({' + '.join(map(ticked, likely))}) / {len(likely)}"  # columns of seeds
        return f"{said}, or take their mean by --derive {in_quotes(f'{column} = {mean}')}"
    if turned := named_in_rows(table, column, _ours):
        return turned
    if column in SMALL and (metric := one_metric(table, column, PROPOSED[column])):
        return metric
    accurate = [str(name) for name in table.columns if is_accuracy(name)]
    errors = [str(name) for name in table.columns if _may_be(name, "error") and not read_numbers(table[name])[1].all()]
    errors.sort(key=lambda name: (name != "error", bool(LATER.search(plain_name(name)))))
    if column == "loss" and errors:
        return f"take --y {one_word(errors[0])}"
    if column in ("loss", "error") and accurate:
        return _error_instead(table, accurate[0])
    others = FORMULAS.get(column)
    if others and set(others[1]) <= set(table.columns):
        return f'name it with --columns, or compute it, for a dense network by --derive "{others[0]}"'
    return chart_curves(table) or "name it with --columns, or compute it with --derive"


def _computed(table: pd.DataFrame, column: str) -> str:
    """Return the expression for a missing column from its logarithm or its factors, or of a loss from a perplexity."""
    for name in map(str, table.columns):
        match = LOG.fullmatch(name.strip())
        if (
            match
            and f"{match[1]}{column}".lower() != "logloss"
            and (match[2] == column or role_of(match[2]) == Role(column))
        ):
            largest = pd.to_numeric(table[name], errors="coerce").max()
            usual = "exp({})" if largest > NATURAL.get(column, 0) else "10**{}"
            return POWERS.get(match[1].lower(), usual).format(ticked(name))
    computed = examples_seen(map(str, table.columns)) if column == "D" else ""
    likely = [name for name in map(str, table.columns) if _may_be(name, column)]
    if computed or likely:
        return computed if all(ticked(name) in computed for name in likely) else ""
    if column == "loss":
        for words, formula in INSTEAD.items():
            of = [str(name) for name in table.columns if words.search(plain_name(name))]
            if of:
                return formula.format(ticked(of[0]))
    return ""


def other_measure(y: str) -> list[str]:
    """Recommend fitting the loss instead of a perplexity, which is its exponential."""
    of = PERPLEXITY.search(plain_name(y))
    derived = in_quotes(f"loss = log({ticked(y)})")
    return [f"laws are of the loss, and {y} is its exponential: --derive {derived}"] if of else []


def is_accuracy(column: object) -> bool:
    """Tell whether a column's name is that of a response that rises with size."""
    return ACCURATE.fullmatch(plain_name(column)) is not None


def _error_instead(table: pd.DataFrame, accuracy: str) -> str:
    """Return the options that fit an error in place of an accuracy, a share or in per cent."""
    largest = pd.to_numeric(table[accuracy], errors="coerce").max()  # text such as 95 % is read as a share
    scale = " / 100" if largest > 1 else ""
    return f"take --derive {in_quotes(f'error = 1 - {ticked(accuracy)}{scale}')} --y error"


def refuse_rising(rows: pd.DataFrame, y: str) -> None:
    """Raise `UserError` where the response is named as an accuracy and rises with size, as the laws fall."""
    if is_accuracy(y) and _rises(rows, y):
        raise UserError(f"{y} rises with size, and laws fall; {_error_instead(rows, y)}")


def _rises(rows: pd.DataFrame, y: str) -> bool:
    """Tell whether a response rises with N, D and C jointly, by rank correlation."""
    sizes = [name for name in ("N", "D", "C") if name in rows.columns]
    if not sizes or len(rows) < 4:
        return False
    size = rows[sizes].apply(pd.to_numeric, errors="coerce").rank().sum(axis=1).rank()
    return bool(pd.to_numeric(rows[y], errors="coerce").rank().corr(size) > RISING)


def _may_be(name: object, column: str) -> bool:
    bare = re.sub(r"\.\d+$", "", str(name))
    role = role_of(bare)
    if role or bare in ROLES:
        return column == (role.name if role else bare)
    if column == "D" and is_factor(bare):
        return False
    return column in PROPOSED and bool(PROPOSED[column].search(plain_name(bare)))


def _readings(text: str) -> list[tuple[str, float]]:
    """Return the readings of a name, with and without a tracker's prefix and a unit at its end, with factors."""
    texts = [text]
    while (match := re.match(r"_*([A-Za-z]+)_*[./](?=.)", texts[-1])) and match[1].lower() in PREFIXES:
        if match[1].lower() not in TRACKERS and _is_loss(text):
            break
        texts.append(texts[-1][match.end() :])
    texts += [text.removeprefix(before) for before in TRIAL if text.startswith(before)]
    readings = [(_bare(one), 1.0) for one in texts if "%" not in one]
    for one in texts:
        for i, pattern in enumerate(UNIT_AT_END):
            match = pattern.fullmatch(one)
            factor = factor_of(match[2]) if match else None
            if match and factor and (factor != 1 or i == 0):
                readings.append((_bare(match[1]), factor))
        before, _, unit = one.replace(" ", "_").rpartition("_")
        flops = flops_of(one) or (flops_of(unit) if before.lower() in SPENT else None)
        if flops and flops != 1:
            readings.append(("flops", flops))
    return readings


def _is_loss(text: str) -> bool:
    return _bare(re.split(r"[./]", text)[-1]).endswith(("loss", "error", "nll"))


def _bare(text: str) -> str:
    """Return a name without spaces and punctuation, in lower case unless it is one letter."""
    bare = re.sub(r"[^A-Za-z0-9]", "", text)
    return bare if len(bare) == 1 else bare.lower()


def _numbers(column: pd.Series) -> pd.Series | None:
    """Return a column as floats; None where it holds text, or numbers with units."""
    numbers, odd = read_numbers(column)
    return None if odd.any() or not counts_alone(column) else pd.Series(numbers, column.index)
