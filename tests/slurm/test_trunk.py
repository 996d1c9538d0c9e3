"""Branches of a trunk, trained together by jobs of SLURM, end as the runs of their lengths trained alone here."""

from __future__ import annotations

import pytest

from scaling.folders import SweepFolder, read_lines
from scaling.record import read_record
from tests.slurm.test_rounds import ON_SLURM
from tests.train.stacked.stacks import losses

SWEEP = """\
# Three lengths on one trunk, two seeds trained together.
defaults:
  - override /data: digits
  - override /schedule: wsd
model: {depth: 1, width: 8}
schedule: {warmup_steps: 5, decay: 0.2}
train: {batch: 40, engine: stacked, device: cpu}
sweep:
  trunk: true
  grid:
    - product: {train.steps: [40, 80, 160], seed: [0, 1]}
"""


def test_stacked_branches_go_on_from_their_trunks_in_jobs(cluster, scaling):
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "lengths.yaml").write_text(SWEEP)
    scaling.outside("run", "sweep=lengths", *ON_SLURM, "--wait")
    scaling.outside("run", "sweep=lengths", "results=here", "sweep.trunk=false", "train.stack=1", "launcher.workers=1")
    folder, here = (SweepFolder(scaling.folder / name, "lengths") for name in ("results", "here"))
    runs = sorted(path.parent.name for path in folder.results.glob("runs/*/record.json"))
    assert runs == sorted(path.parent.name for path in here.results.glob("runs/*/record.json"))
    assert len(runs) == 6
    forked = []
    for run_id in runs:
        found, alone = (read_record(each.run(run_id)) for each in (folder, here))
        assert losses(found) == pytest.approx(losses(alone), rel=2e-5)
        forked.append(found.how.get("forked", {}).get("step"))
        [attempt] = read_lines(folder.run(run_id).attempts)
        assert attempt["job"]
    assert sorted(forked, key=str) == [33, 33, 65, 65, None, None]
    assert list(folder.results.glob("runs/*/forks/*")) == []
