"""Workers of this machine: where each starts."""

from __future__ import annotations

from types import SimpleNamespace

from scaling.dispatch.dispatches import new_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.local import pool as module
from scaling.dispatch.local.pool import Pool
from scaling.dispatch.task import Task


def test_a_worker_that_replaces_another_has_its_place_and_its_gpu(folder, monkeypatch):
    """Else one GPU would have two, and that of the worker that has ended none."""
    started = []

    class Workers:
        def __init__(self, path, server, environment):
            self.gpu = environment["CUDA_VISIBLE_DEVICES"]

        def submit(self, worker):
            started.append((worker.task.name, worker.task.place, self.gpu))
            return SimpleNamespace(job_id=str(len(started)))

    monkeypatch.setattr("scaling.dispatch.local.jobs.Workers", Workers)
    monkeypatch.setattr(module, "fork_server", lambda train, threads: None)
    dispatch = new_dispatch(folder)
    pool = Pool(Local(), dispatch, Task(folder=folder, queue=dispatch.queue), gpus=("4", "5"))
    for place in range(2):
        pool.start(place)
    pool.start_another(pool.jobs[1])
    pool.start_another(pool.jobs[2])
    assert started == [("worker 0", 0, "4"), ("worker 1", 1, "5"), ("worker 2", 1, "5"), ("worker 3", 1, "5")]
