"""The values of many models, a row for each: the trained parameters of a member lie one after the other in its row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from scaling.optim.groups import parameter_groups


@dataclass(frozen=True)
class Column:
    """Where a trained parameter lies in a row: from `start` up to `stop`, of `shape` in its module."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]

    def of(self, rows: Tensor) -> Tensor:
        """Return the parameter's part of `rows` (K, …) as (K, *shape), without a copy."""
        return rows[:, self.start : self.stop].view(len(rows), *self.shape)


@dataclass(frozen=True)
class Group:
    """Columns, from `start` up to `stop`, that take one share of the learning rate.

    decay: what the optimiser's weight decay is multiplied by there, 0 where nothing decays.
    """

    start: int
    stop: int
    share: float
    decay: float


@dataclass(frozen=True)
class Layout:
    """The columns of a row, those of a group next to each other."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.columns[-1].stop


def layout_of(module: nn.Module, *, body_share: float, sgd: bool = False) -> Layout:
    """Lay the trained parameters of a module out, those whose weights could decay first; sgd: see optim/groups.py."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    columns, groups, start = list[Column](), list[Group](), 0
    for group in parameter_groups(module, 1.0, body_share=body_share, sgd=sgd):
        first = start
        for parameter in group["params"]:
            shape = tuple(parameter.shape)
            columns.append(Column(names[parameter], start, start + prod(shape), shape))
            start += prod(shape)
        groups.append(Group(first, start, group["share"], group["weight_decay"]))
    return Layout(tuple(columns), tuple(groups))


class Rows:
    """All values of the members: `trained` (K, width) and, by name, those that are not trained."""

    def __init__(self, layout: Layout, modules: Sequence[nn.Module]) -> None:
        self.layout = layout
        states = [module.state_dict() for module in modules]
        names = [column.name for column in layout.columns]
        self.trained = torch.stack([torch.cat([state[name].flatten() for name in names]) for state in states])
        fixed = states[0].keys() - set(names)
        self.fixed = {name: torch.stack([state[name] for state in states]) for name in states[0] if name in fixed}
        self.order = tuple(states[0])  # of the names in a module's state
        self.leaves = self._leaves()

    def _leaves(self) -> dict[str, Tensor]:
        """Return the trained parameters by name, (K, *shape), as leaves that share the memory of `trained`."""
        return {column.name: column.of(self.trained).detach().requires_grad_() for column in self.layout.columns}

    @property
    def values(self) -> dict[str, Tensor]:
        """Every value by its name in the module."""
        return {**self.leaves, **self.fixed}

    def select(self, kept: Tensor) -> None:
        """Keep the rows at `kept` (k,) int64."""
        self.trained = self.trained.index_select(0, kept)
        self.fixed = {name: value.index_select(0, kept) for name, value in self.fixed.items()}
        self.leaves = self._leaves()

    def state(self, row: int, trained: Tensor | None = None) -> dict[str, Tensor]:
        """Return the state of one member's module; trained: its row where that was copied before."""
        whole = self.trained[row] if trained is None else trained
        own = {column.name: whole[column.start : column.stop].view(column.shape) for column in self.layout.columns}
        own |= {name: value[row] for name, value in self.fixed.items()}
        return {name: own[name].detach() for name in self.order}

    def write_to(self, module: nn.Module, row: int) -> None:
        """Copy one member's values into its module."""
        module.load_state_dict(self.state(row))
