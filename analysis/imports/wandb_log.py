"""W&B's own file of a run (run-ID.wandb): a LevelDB log of its protobuf messages, as an offline run leaves it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.errors import UserError
from analysis.export.runs import tool

BLOCK, HEAD, START = 32_768, 7, 7
"""Bytes of a block, of a piece's head in it, and before the first piece."""
WHOLE, LAST = 1, 4
"""Kinds of pieces that end a message."""


def rows_of_log(path: Path) -> list[dict[str, Any]]:
    """Return a row for each line of a run's history, or one of its summary where it has none; config.KEY beside it.

    State: finished or failed, or running where it was not ended. `UserError` without the package wandb.
    """
    proto = tool("wandb", "wandb.proto.wandb_internal_pb2")
    facts: dict[str, Any] = {"State": "running"}
    history, summary = [], dict[str, Any]()
    try:
        for message in _messages(path.read_bytes()):
            record = proto.Record.FromString(message)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                facts |= {"Name": record.run.display_name, **_items(record.run.config.update, "config")}
            elif kind == "config":
                facts |= _items(record.config.update, "config")
            elif kind == "history":
                history.append(_items(record.history.item, ""))
            elif kind == "summary":
                summary |= _items(record.summary.update, "")
            elif kind == "exit":
                facts["State"] = "failed" if record.exit.exit_code else "finished"
    except (struct.error, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read as a run of W&B: {error}") from error
    return [{**facts, **row} for row in history or [summary]]


def _messages(data: bytes) -> Iterator[bytes]:
    """Yield the messages of a LevelDB log; one that was cut at the end is left out."""
    at, whole = START, b""
    while at + HEAD <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEAD])
        whole += data[at + HEAD : at + HEAD + length]
        at += HEAD + length
        if kind in (WHOLE, LAST) and at <= len(data):
            yield whole
            whole = b""


def _items(items: Any, before: str) -> dict[str, Any]:
    """Read keys and values, JSON each."""
    found: dict[str, Any] = {}
    for item in items:
        words = [before, *(item.nested_key or [item.key])]
        found |= flat({".".join(word for word in words if word): json.loads(item.value_json)}, "")
    return {key: value for key, value in found.items() if "._wandb" not in key and not key.startswith("_wandb")}


def flat(values: Mapping[str, Any], before: str) -> dict[str, Any]:
    """Write nested mappings in one, as config.optim.lr; lists as words."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}.{key}" if before else str(key)
        if isinstance(value, Mapping):
            found |= flat(value, name)
        else:
            found[name] = str(value) if isinstance(value, list) else value
    return found
