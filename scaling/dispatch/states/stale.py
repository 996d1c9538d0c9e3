"""Settled runs that were trained on other data or code than is now found under the same id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from scaling.config import GROUPS, RunConfig, read_config
from scaling.content.digest import digest_of, joined
from scaling.content.digests import Content
from scaling.content.run_content import code_of
from scaling.dispatch.states.settled import SettledRuns
from scaling.errors import UserError

NAMED = 3  # run ids that are told
WORDS = {"data": "other data", "files": "other label files", "code": "other code of yours"}
WAYS_OUT = (
    "--redo stale trains them again, data.version=2 (or model.version=2) makes separate runs for the new ones, "
    "--keep-stale keeps them"
)
Stale = Mapping[str, tuple[str, ...]]  # run_id: what differs


class Now:
    """The content of runs as it is now; what many runs share is looked at once."""

    def __init__(self) -> None:
        self._data: dict[object, str] = {}
        self._files: dict[object, str] = {}

    def of(self, config: RunConfig) -> Content:
        """Return what this machine has for a run."""
        if config.data not in self._data:
            self._data[config.data] = config.data.digest()
        if config.stage not in self._files:
            self._files[config.stage] = joined(map(digest_of, config.stage.files()))
        return Content(self._data[config.data], self._files[config.stage], code_of(config))


def stale_runs(configs: Iterable[tuple[str, RunConfig]], settled: SettledRuns) -> Stale:
    """Return which settled runs, of ids and configs, were trained with other content, and what differs."""
    now, found = Now(), {}
    for run_id, config in configs:
        before = settled.get(run_id)
        if before is not None and before.content.to_dict():
            different = before.content.differs(now.of(config))
            if different:
                found[run_id] = different
    return found


def stale_entries(queued: Iterable[tuple[str, Mapping[str, Any]]], settled: SettledRuns) -> Stale:
    """Return the same of runs by id and plain config, as queues hold them; those alike in content are read once."""
    read: dict[str, RunConfig] = {}
    configs = []
    for run_id, raw in queued:
        if settled.get(run_id) is None:
            continue
        key = json.dumps([_content_keys(raw, name) for name in (*GROUPS, "stage")], sort_keys=True, default=str)
        if key not in read:
            read[key] = read_config(raw)
        configs.append((run_id, read[key]))
    return stale_runs(configs, settled)


def _content_keys(raw: Mapping[str, Any], name: str) -> Any:
    """Return the keys of a group that its content hangs on."""
    part = raw.get(name) or {}
    return part if name in ("data", "stage") else [part.get("_target_"), part.get("module")]


def refuse_stale(stale: Stale, *, ways_out: str = WAYS_OUT) -> None:
    """Raise UserError where settled runs are stale: one id stands for one content."""
    if stale:
        raise UserError(f"{told(stale)}; wanted one content under one id: {ways_out}")


def told(stale: Stale) -> str:
    """Say in one clause which settled runs are stale, and why."""
    what = " and ".join(words for name, words in WORDS.items() if any(name in parts for parts in stale.values()))
    named = ", ".join(list(stale)[:NAMED]) + (", …" if len(stale) > NAMED else "")
    many = "1 settled run that was" if len(stale) == 1 else f"{len(stale):,} settled runs that were"
    return f"found {many} trained on {what} than there is now ({named})"
