"""The parameters of all members in one matrix: each row is the concatenation of a member's trained parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from scaling.optim.groups import parameter_groups


@dataclass(frozen=True)
class Column:
    """The position of a trained parameter in a row, from `start` up to `stop`; shape: in its module."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]

    def of(self, rows: Tensor) -> Tensor:
        """Return the parameter's part of `rows` (K, …) as (K, *shape), without a copy."""
        return rows[:, self.start : self.stop].view(len(rows), *self.shape)


@dataclass(frozen=True)
class Group:
    """Columns from `start` up to `stop` with the same factors; share: of the learning rate; decay: of weight decay."""

    start: int
    stop: int
    share: float
    decay: float


@dataclass(frozen=True)
class Layout:
    """The columns of a row; those of a group are contiguous."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.columns[-1].stop


def layout_of(module: nn.Module, *, body_share: float, sgd: bool = False) -> Layout:
    """Return the layout of a module's trained parameters, in the order of its parameter groups.

    body_share, sgd: see optim/groups.py.
    """
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
    """All values of the members: `trained` (K, width) and, by name in `fixed`, those that are not trained.

    tied: maps further names of shared values to their first names; by_vmap: whether the modules are computed by vmap
    rather than by the layers of layers.py.
    """

    by_vmap = False

    def __init__(self, layout: Layout, modules: Sequence[nn.Module]) -> None:
        self.layout = layout
        states = [module.state_dict() for module in modules]
        names = [column.name for column in layout.columns]
        self.trained = torch.stack([torch.cat([state[name].flatten() for name in names]) for state in states])
        self.tied = _tied(modules[0])
        fixed = states[0].keys() - set(names) - self.tied.keys()
        self.fixed = {name: torch.stack([state[name] for state in states]) for name in states[0] if name in fixed}
        self.order = tuple(states[0])  # the names in a module's state
        self.leaves = self._leaves()

    def _leaves(self) -> dict[str, Tensor]:
        """Return the trained parameters by name, (K, *shape), as leaves that share the memory of `trained`."""
        return {column.name: column.of(self.trained).detach().requires_grad_() for column in self.layout.columns}

    @property
    def values(self) -> dict[str, Tensor]:
        """Every value by its name in the module."""
        return self.values_with(self.fixed)

    def values_with(self, fixed: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return every value by its name; fixed: used for those that are not trained."""
        values = {**self.leaves, **fixed}
        return values | {name: values[first] for name, first in self.tied.items() if first in values}

    def select(self, kept: Tensor) -> None:
        """Keep the rows at `kept` (k,) int64."""
        self.trained = self.trained.index_select(0, kept)
        self.fixed = {name: value.index_select(0, kept) for name, value in self.fixed.items()}
        self.leaves = self._leaves()

    def state(self, row: int, trained: Tensor | None = None) -> dict[str, Tensor]:
        """Return the state of one member's module; trained: a copy of its row, if there is one."""
        whole = self.trained[row] if trained is None else trained
        values = {column.name: whole[column.start : column.stop].view(column.shape) for column in self.layout.columns}
        values |= {name: value[row] for name, value in self.fixed.items()}
        values |= {name: values[first] for name, first in self.tied.items() if first in values}
        return {name: values[name].detach() for name in self.order}

    def write_to(self, module: nn.Module, row: int) -> None:
        """Copy one member's values into its module."""
        module.load_state_dict(self.state(row))


def _tied(module: nn.Module) -> dict[str, str]:
    """Map further names of shared parameters and buffers to their first names."""
    parameters, buffers = (find(remove_duplicate=False) for find in (module.named_parameters, module.named_buffers))
    first, tied = dict[Tensor, str](), dict[str, str]()
    for name, value in (*parameters, *buffers):
        if first.setdefault(value, name) != name:
            tied[name] = first[value]
    return tied
