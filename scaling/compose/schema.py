"""JSON schemas of sweep files and members of groups, for editors, made from the dataclasses that check them.

Groups allow further keys, which a user's own class may have; `train` and `sweep` do not. Any value may be an
interpolation such as ${model.width}, or null, to be set by a sweep or the command line.
"""

from __future__ import annotations

from typing import Any

from scaling.compose.members import member, members
from scaling.config import GROUPS, MIRRORS, Train, load_class, schema_of

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"

INTERPOLATION: Schema = {"type": "string", "pattern": r"\$\{.+\}"}
SCALAR: Schema = {"type": ["number", "string", "boolean", "null"]}
RANGE: Schema = {
    "type": "object",
    "properties": {
        "from": {"type": "number"},
        "to": {"type": "number"},
        "num": {"type": "integer", "minimum": 1},
        "step": {"type": "number"},
        "spacing": {"enum": ["linear", "log"]},
        "round": {"type": "number", "exclusiveMinimum": 0},
    },
    "required": ["from", "to"],
    "oneOf": [{"required": ["num"]}, {"required": ["step"]}],
    "additionalProperties": False,
}
AXES: Schema = {
    "type": "object",
    "description": "Config keys, such as model.width, and the values that they take in turn.",
    "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, RANGE, SCALAR]},
}
CELL: Schema = {"type": "object", "description": "Config keys and their values in one run."}
BLOCK: Schema = {
    "oneOf": [
        {"type": "object", "properties": {kind: body}, "required": [kind], "additionalProperties": False}
        for kind, body in (("product", AXES), ("zip", AXES), ("list", {"type": "array", "items": CELL}))
    ]
}
RULES: Schema = {
    "type": ["object", "null"],
    "description": "Keys computed for each run: arithmetic and comparison over its quantities and config keys.",
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
WHERE: Schema = {"type": ["string", "null"], "description": "Cells that stay, such as steps >= 100."}
GRID: Schema = {"type": ["array", "null"], "items": BLOCK}
STAGE: Schema = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "of": {"type": "string"},
        "at": {"enum": ["last", "milestones"]},
        "base": {"type": "object", "required": ["stage"]},
        "grid": GRID,
        "where": WHERE,
        "set": RULES,
    },
    "required": ["base"],
    "additionalProperties": False,
}
LIMIT: Schema = {
    "type": "object",
    "properties": {name: {"type": ["number", "null"], "exclusiveMinimum": 0} for name in ("gpu_hours", "flops")},
    "additionalProperties": False,
}
SWEEP: Schema = {
    "type": "object",
    "properties": {
        "grid": GRID,
        "stages": {"type": ["array", "null"], "items": STAGE},
        "set": RULES,
        "where": WHERE,
        "limit": LIMIT,
        "trunk": {"type": "boolean", "description": "Runs that differ in their length alone share their first steps."},
    },
    "additionalProperties": False,
}
DEFAULTS: Schema = {"type": "array", "description": "Members of groups, such as `override /data: mnist1d`."}


def schemas() -> dict[str, Schema]:
    """Return every schema by its name: sweep, and conf/GROUP for the members of each group."""
    groups = {group: _group(group) for group in (*GROUPS, "stage", "launcher")}
    groups["train"] = {**_loose(schema_of(Train)), "additionalProperties": False}
    return {"sweep": _sweep(groups), **{f"conf/{group}": _member(schema) for group, schema in groups.items()}}


def _sweep(groups: dict[str, Schema]) -> Schema:
    keys = {
        "defaults": DEFAULTS,
        **groups,
        "seed": {"anyOf": [{"type": "integer"}, INTERPOLATION]},
        "name": {"type": ["string", "null"]},
        "results": {"type": "string"},
        "mirror": {"enum": [*MIRRORS, None]},
        "on_end": {"type": ["string", "null"]},
        "parent": {"type": "object"},
        "recipe_version": {"type": ["integer", "null"]},
        "sweep": SWEEP,
    }
    return {"$schema": DRAFT, "title": "A sweep", "type": "object", "properties": keys, "required": ["sweep"]}


def _member(group: Schema) -> Schema:
    own = {"_target_": {"type": "string", "description": "The dataclass, as module.Class."}, "defaults": DEFAULTS}
    keys = {**own, **group.get("properties", {})}
    return {"$schema": DRAFT, **group, "properties": keys}


def _group(group: str) -> Schema:
    """Return the schema of a group, with the keys of all its shipped members.

    Where members differ in a key, any of their schemas holds; those that differ only in the description are one.
    """
    found: dict[str, dict[str, Schema]] = {}
    for name in members(group):
        target = member(group, name).get("_target_")
        for key, schema in _loose(schema_of(load_class(target)))["properties"].items() if target else ():
            kinds, bare = found.setdefault(key, {}), repr({k: v for k, v in schema.items() if k != "description"})
            kinds[bare] = schema if "description" in schema else kinds.get(bare, schema)
    schemas = {key: list(kinds.values()) for key, kinds in found.items()}
    keys = {key: each[0] if len(each) == 1 else {"anyOf": each} for key, each in schemas.items()}
    return {"type": "object", "properties": keys}


def _loose(schema: Schema) -> Schema:
    """Return the schema of a dataclass, with each key optional and interpolations allowed as values."""
    keys = {key: _with_interpolation(each) for key, each in schema.get("properties", {}).items()}
    return {"type": "object", "properties": keys}


def _with_interpolation(schema: Schema) -> Schema:
    texts: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    bare = {key: value for key, value in schema.items() if key not in ("title", *texts)}
    kinds = bare["anyOf"] if set(bare) == {"anyOf"} else [bare]
    null = {"type": "null"}
    return {**texts, "anyOf": [*(kind for kind in kinds if kind != null), INTERPOLATION, null]}
