"""Find stale runs: settled ones that were trained on different data or code than the present one with the same id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from scaling.config import GROUPS, RunConfig, read_config
from scaling.content.content import Content
from scaling.content.digest import digest_of, joined
from scaling.content.run_content import code_of, kwargs_of
from scaling.dispatch.states.settled import SettledRuns
from scaling.errors import UserError
from scaling.plan.planned import PlannedRun

NAMED = 3  # run ids in a sentence
WORDS = {
    "data": "other data",
    "files": "other label files",
    "code": "other code of yours",
    "kwargs": "2 for 2.0 in model.kwargs",
    "parent": "other weights of a parent",
}
WAYS_OUT = (
    "--redo stale trains them again, data.version=2 (or model.version=2) makes separate runs for the new ones, "
    "--keep-stale keeps them"
)
Stale = Mapping[str, tuple[str, ...]]  # run_id: what differs


def stale_runs(configs: Iterable[tuple[str, RunConfig, str | None]], settled: SettledRuns) -> Stale:
    """Return the stale runs among settled ones, and what differs.

    A run that started from a stale run, or from a run that has other content now, is stale too. configs: (id, config,
    id of the parent or None), parents before the runs that start from them.
    """
    data_of = cache(lambda data: data.digest())  # runs share them
    files_of = cache(lambda stage: joined(map(digest_of, stage.files())))
    found: dict[str, tuple[str, ...]] = {}
    for run_id, config, parent in configs:
        before = settled.get(run_id)
        if before is None:
            continue
        different: tuple[str, ...] = ("parent",) if parent in found else ()
        if not different and before.content.to_dict():
            start = None if parent is None else settled.get(parent)
            digest = "" if start is None else start.content.digest
            now = Content(data_of(config.data), files_of(config.stage), code_of(config), kwargs_of(config), digest)
            different = before.content.differs(now)
        if different:
            found[run_id] = different
    return found


def stale_of(runs: Iterable[PlannedRun], settled: SettledRuns) -> Stale:
    """Return the stale runs among planned ones, and what differs."""
    return stale_runs(((run.run_id, run.config, next(iter(run.needs), None)) for run in runs), settled)


def stale_entries(queued: Iterable[tuple[str, Mapping[str, Any]]], settled: SettledRuns) -> Stale:
    """Return the stale runs among queued ones, (id, plain config), and what differs; equal configs are parsed once."""
    read: dict[str, RunConfig] = {}
    configs = []
    for run_id, raw in queued:
        if settled.get(run_id) is None:
            continue
        key = json.dumps([_content_keys(raw, name) for name in (*GROUPS, "stage")], sort_keys=True, default=str)
        if key not in read:
            read[key] = read_config(raw)
        configs.append((run_id, read[key], (raw.get("parent") or {}).get("run_id")))
    return stale_runs(configs, settled)


def _content_keys(raw: Mapping[str, Any], name: str) -> Any:
    """Return the keys of a group that determine its content."""
    part = raw.get(name) or {}
    return part if name in ("data", "stage") else [part.get(key) for key in ("_target_", "module", "kwargs")]


def refuse_stale(stale: Stale, *, ways_out: str = WAYS_OUT) -> None:
    """Raise UserError if there are stale runs."""
    if stale:
        raise UserError(f"{stale_words(stale)}; wanted one content under one id: {ways_out}")


def stale_words(stale: Stale) -> str:
    """Return a clause that says which settled runs are stale, and why."""
    what = " and ".join(words for name, words in WORDS.items() if any(name in parts for parts in stale.values()))
    named = ", ".join(list(stale)[:NAMED]) + (", …" if len(stale) > NAMED else "")
    many = "1 settled run that was" if len(stale) == 1 else f"{len(stale):,} settled runs that were"
    return f"found {many} trained on {what} than there is now ({named})"
