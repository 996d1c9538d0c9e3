"""A run is fixed by its seeds, whichever random stream the code of users draws from."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from scaling.global_streams import kept_streams, own_streams, stream_states
from scaling.train.feed.run_data import load_run_data, load_splits
from scaling.train.output.kept_weights import read_kept_weights
from scaling.train.run import train_run
from scaling.train.streams import stream
from tests.default_cases import default_cases
from tests.train.runs import essence, folder_of, planned, stopped_after

NETS = "tests.train.nets"
DRAWING = {
    "dropout that does not end": {"model": {"is": "custom", "module": f"{NETS}.Forgetful"}},
    "NumPy and Python": {"model": {"is": "custom", "module": f"{NETS}.Noisy"}},
    "counts": {"model": {"is": "custom", "module": f"{NETS}.Counting"}},
    "stochastic depth": {"model": {"is": "custom", "module": f"{NETS}.Dropping"}},
    "a data set": {"data": "drawn"},
    "a finite data set": {"data": {"is": "drawn", "size": 500}},
}
drawing = pytest.mark.parametrize(
    "keys",
    default_cases(DRAWING.values(), DRAWING["stochastic depth"], DRAWING["a data set"], DRAWING["counts"]),
    ids=DRAWING,
)


def test_seeds_with_the_same_lower_bits_have_streams_of_their_own():
    """torch's generator on a CPU reads 32 bits of its seed."""
    seeds = [5, 5 + 2**32, 5 + 2**63, 5 + 2**70]
    assert len({torch.rand((), generator=stream(seed, "init")).item() for seed in seeds}) == len(seeds)


def draws():
    return random.random(), np.random.random(), torch.rand(()).item()


def trained(run, folder, **keys):
    return train_run(run, folder_of(run, folder), device="cpu", **keys)


@drawing
def test_a_run_that_draws_is_the_same_each_time_and_leaves_the_streams_as_they_were(keys, tmp_path):
    run = planned({"steps": 40, "milestones": 3}, **keys)
    with own_streams(1):
        wanted = draws()
    with own_streams(1):
        first = trained(run, tmp_path / "a")
        assert draws() == wanted
    second = trained(run, tmp_path / "b")
    assert essence(first) == essence(second)
    other = trained(planned({"steps": 40, "milestones": 3}, **keys, seed=1), tmp_path / "c")
    assert other.points[-1].loss != first.points[-1].loss


@drawing
def test_milestones_change_no_weight(keys, tmp_path):
    many, once = (planned({"steps": 60, "keep": "milestones", "milestones": n}, **keys) for n in (12, [1]))
    assert many.run_id == once.run_id
    points = [trained(run, tmp_path / str(len(run.quantities.milestones))).points[-1] for run in (many, once)]
    assert points[0] == points[1]
    weights = [
        read_kept_weights(folder_of(run, tmp_path / str(len(run.quantities.milestones))), 60).model
        for run in (many, once)
    ]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@drawing
def test_a_stopped_run_draws_on_where_it_was(keys, tmp_path, every_step):
    run = planned({"steps": 80, "milestones": 4}, **keys)
    straight = trained(run, tmp_path / "a")
    for asked in (30, 25):
        assert trained(run, tmp_path / "b", stop=stopped_after(asked)) is None
        draws()
    assert essence(trained(run, tmp_path / "b")) == essence(straight)


def test_data_that_is_drawn_is_that_of_its_seeds():
    """Held-out sets do not move with the run's seed, and a chunk is the same in whichever order it is drawn."""
    one, other = (planned({"steps": 40}, data="drawn", seed=seed).config for seed in (0, 1))
    mine, again, theirs = load_splits(one, None), load_splits(one, None), load_splits(other, None)
    assert np.array_equal(mine.test.x, theirs.test.x)
    assert np.array_equal(mine.train.draw(3).x, (again.train.draw(1), again.train.draw(3))[1].x)
    assert not np.array_equal(mine.train.draw(3).x, theirs.train.draw(3).x)


def test_streams_are_kept_whatever_fails():
    before = stream_states([])
    with pytest.raises(ZeroDivisionError), kept_streams():
        draws()[int(1 / 0)]
    after = stream_states([])
    assert all(torch.equal(a, b) for a, b in zip(before.pop("torch"), after.pop("torch"), strict=True))
    assert before == after


def test_a_checkpoint_of_torch_s_streams_alone_is_read(tmp_path, every_step):
    """Version 0.1.0 kept a list of torch's."""
    from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint

    run = planned({"steps": 80}, model={"is": "mlp", "width": 8, "depth": 1, "dropout": 0.5})
    straight = trained(run, tmp_path / "a")
    folder = folder_of(run, tmp_path / "b")
    assert train_run(run, folder, device="cpu", stop=stopped_after(30)) is None
    state = read_checkpoint(folder.checkpoint, run.run_id)
    state["trainer"]["global"] = state["trainer"]["global"]["torch"]
    write_checkpoint(folder.checkpoint, run.run_id, state)
    assert essence(train_run(run, folder, device="cpu")) == essence(straight)
    assert not list(folder.path.glob("checkpoint.*"))


def test_evaluation_draws_from_streams_of_its_own():
    from scaling.train.evaluation import evaluate
    from tests.train.nets import Forgetful

    run = planned({"steps": 3})
    sets, net = load_run_data(run.config, run.quantities, torch.device("cpu")), Forgetful((6,), 3)
    with own_streams(5):
        wanted = draws()
    with own_streams(5):
        first = evaluate(run, sets, net)
        assert draws() == wanted
    assert evaluate(run, sets, net) == first
