"""The grid of a sweep: the union of blocks (product, zip or list), expanded into cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from scaling.errors import UserError

Cell = dict[str, Any]  # config key -> value, for one run of the grid
MOST_CELLS = 1_000_000  # cells of a grid, and values of a range
KINDS = ("product", "zip", "list")
RANGE_KEYS = {"from", "to", "num", "step", "spacing", "round"}


@dataclass(frozen=True)
class Block:
    """One block of a grid: every combination of the axes' values, set in each of the items, which are partial cells."""

    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    items: Sequence[Cell] = ({},)

    def cells(self) -> Iterator[Cell]:
        """Yield the cells of the block; the items vary fastest, then the last axis."""
        for values in itertools.product(*self.axes.values()):
            chosen = dict(zip(self.axes, values, strict=True))
            yield from ({**item, **chosen} for item in self.items)

    def count(self) -> int:
        """Return the number of cells, without making them."""
        return math.prod(map(len, self.axes.values())) * len(self.items)

    def keys(self) -> list[str]:
        """Return the keys that the block sets."""
        return list(dict.fromkeys([*self.axes, *(key for item in self.items for key in item)]))

    def __contains__(self, key: str) -> bool:
        return key in self.keys()

    def varied(self) -> list[str]:
        """Return the keys that do not have the same value in all cells."""
        values = {key: self._values(key) for key in self.keys()}
        return [key for key, found in values.items() if any(value != found[0] for value in found)]

    def _values(self, key: str) -> Sequence[Any]:
        return self.axes[key] if key in self.axes else [item.get(key) for item in self.items]

    def with_values(self, key: str, values: Sequence[Any]) -> Block:
        """Return the block with each of these values of a key in every cell."""
        return replace(self, axes={**self.axes, key: tuple(values)})


def read_grid(raw: Any) -> list[Block]:
    """Read `sweep.grid`, a list of blocks with one of product, zip, list each; UserError says what is wrong."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise UserError(f"found sweep.grid={raw!r}; wanted a list of blocks (product:, zip: or list:); add one")
    return [_read_block(block) for block in raw]


def _read_block(raw: Any) -> Block:
    if not isinstance(raw, Mapping) or len(raw) != 1 or next(iter(raw)) not in KINDS:
        found = sorted(raw) if isinstance(raw, Mapping) else raw
        raise UserError(f"found a grid block with {found}; wanted exactly one of {', '.join(KINDS)}; change it")
    [(kind, body)] = raw.items()
    if kind == "list":
        if not isinstance(body, Sequence) or isinstance(body, str) or not body:
            raise UserError("found a list block without cells; wanted a list of {key: value} cells; add them")
        for item in body:
            if not isinstance(item, Mapping):
                raise UserError(f"found {item!r} in a list block; wanted a cell such as {{model.width: 8}}; change it")
            _check_keys(item)
        return Block(items=[dict(item) for item in body])
    if not isinstance(body, Mapping) or not body:
        raise UserError(f"found an empty {kind} block; wanted {{key: values}}; add an axis")
    _check_keys(body)
    axes = {key: _read_axis(key, values) for key, values in body.items()}
    lengths = {key: len(values) for key, values in axes.items()}
    if kind == "zip" and len(set(lengths.values())) > 1:
        found = ", ".join(f"{key}: {n}" for key, n in lengths.items())
        raise UserError(f"found a zip block with axes of unequal length ({found}); wanted equal ones; change it")
    if kind == "zip":
        return Block(items=[dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)])
    return Block(axes)


def _check_keys(body: Mapping[Any, Any]) -> None:
    for key in body:
        if not isinstance(key, str):
            raise UserError(f"found {key!r} as a key in the grid; wanted a config key such as model.width; change it")


def _read_axis(key: str, values: Any) -> tuple[Any, ...]:
    if isinstance(values, Mapping) and list(values) == ["values"]:
        raise UserError(f"found {key}: {{values: …}} in the grid; wanted the list alone; write {key}: [1, 2]")
    if isinstance(values, Mapping) and set(values) & RANGE_KEYS:
        return spaced(values, where=key)
    if isinstance(values, Sequence) and not isinstance(values, str):
        if not values:
            raise UserError(f"found no values for {key} in the grid; wanted at least one; add it or drop the axis")
        return tuple(values)
    return (values,)


def spaced(spec: Mapping[str, Any], *, where: str) -> tuple[float, ...]:
    """Return the values of {from, to, num | step, spacing: linear | log, round}; both ends are included.

    round: values become multiples of this number, positive ones at least 1; duplicates are removed.
    """
    unknown = set(spec) - RANGE_KEYS
    spacing, multiple = spec.get("spacing", "linear"), spec.get("round")
    if unknown or not {"from", "to"} <= set(spec) or ("num" in spec) == ("step" in spec):
        raise UserError(
            f"found the range {dict(spec)} for {where}; wanted from, to and one of num or step "
            f"(with spacing: linear or log, and round); change it"
        )
    start, stop = _number(spec, "from", where), _number(spec, "to", where)
    if spacing not in ("linear", "log") or (spacing == "log" and not (start > 0 and stop > 0)):
        raise UserError(
            f"found spacing {spacing!r} from {start:g} to {stop:g} for {where}; "
            f"wanted linear, or log between positive numbers; change it"
        )
    if spacing == "log":
        values = [math.exp(value) for value in _linear(spec, math.log(start), math.log(stop), where)]
        values = [_clean(value) for value in values]
    else:
        values = _linear(spec, start, stop, where)
    if multiple is not None:
        multiple = _number(spec, "round", where)
        if multiple <= 0:
            raise UserError(f"found round: {multiple:g} for {where}; wanted a positive number; change it")
        values = [(round(value / multiple) or int(value > 0)) * multiple for value in values]
    values = [without_rounding(value) for value in values]
    return tuple(dict.fromkeys(int(value) if float(value).is_integer() else value for value in values))


def _number(spec: Mapping[str, Any], key: str, where: str) -> float:
    try:
        value = math.nan if isinstance(spec[key], bool) else float(spec[key])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"found {key}: {spec[key]!r} in the range for {where}; wanted a number; change it")
    return value


def _clean(value: float) -> float:
    return float(f"{value:.12g}")  # removes rounding errors of exp(log(x)), which would change identities


def without_rounding(value: float) -> float:
    """Return 0.3 for 0.1 + 2 * 0.1, which would be another run than 0.3; other values as they are."""
    return clean if math.isclose(clean := _clean(value), value, rel_tol=1e-15) else value


def _linear(spec: Mapping[str, Any], start: float, stop: float, where: str) -> list[float]:
    if "step" in spec:
        step = _number(spec, "step", where)
        if spec.get("spacing", "linear") == "log":
            step = math.log(step) if step > 0 else 0.0
        if step == 0 or (stop - start) / step < 0:
            raise UserError(
                f"found step: {spec['step']} for {where}; wanted one that leads from one end to the other "
                f"(a factor where spacing is log); change it"
            )
        count = math.floor((stop - start) / step + 1e-9) + 1
        check_count(count, where)
        return [start + i * step for i in range(count)]
    num = spec["num"]
    if not isinstance(num, int) or isinstance(num, bool) or num < 1:
        raise UserError(f"found num={num!r} for {where}; wanted a whole number of values; change it")
    check_count(num, where)
    return [start + (stop - start) * i / max(1, num - 1) for i in range(num)]


def check_count(count: float, where: str) -> None:
    """Raise UserError for a range of more than MOST_CELLS values, before it is made."""
    if count > MOST_CELLS:
        raise UserError(f"found a range of {count:.3g} values for {where}; wanted at most {MOST_CELLS:,}; narrow it")


def check_cells(blocks: Sequence[Block]) -> None:
    """Raise UserError for a grid of more than MOST_CELLS cells, before they are made."""
    count = sum(block.count() for block in blocks)
    if count > MOST_CELLS:
        raise UserError(f"found a grid of {count:.3g} cells; wanted at most {MOST_CELLS:,}; split the sweep")
