"""A record in one line for people. Values stand in records as docs/format.md ("Values") says; here they are made readable."""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

_SHOWN = 100  # signs of one value
KIND_STYLES = {
    "token": "green",
    "tokens": "green",
    "emission": "bright_green",
    "metric": "cyan",
    "module": "blue",
    "once": "blue",
    "transition": "magenta",
    "event": "yellow",
    "file": "bright_blue",
    "note": "bright_yellow",
}


def in_words(fields: Mapping[str, Any]) -> str:
    """What a record says, without its kind, number and time."""
    kind = str(fields["kind"])
    text = _LINES[kind](fields) if kind in _LINES else _others(fields)
    lane = f"[{fields['lane']}] " if fields.get("lane") else ""
    return lane + text + ("  (superseded)" if fields.get("superseded") else "")


def plain_number(value: Any) -> float | None:
    """A recorded number, NaN and whole numbers of any size included; None for anything else."""
    if isinstance(value, dict) and value.keys() == {"$t", "v"}:
        if value["$t"] == "int":
            return float(int(value["v"], 16))
        return float(value["v"]) if value["$t"] == "float" else None
    return float(value) if isinstance(value, int | float) else None


def brief(value: Any) -> str:
    """A value, cut to one short line."""
    number = plain_number(value)
    if isinstance(value, str):
        text = value
    elif number is not None and not isinstance(value, bool | int):
        text = f"{number:.6g}"
    else:
        text = json.dumps(_untagged(value), ensure_ascii=False, separators=(", ", ": "), default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def command_line(info: Mapping[str, Any], here: str) -> str | None:
    """The line that starts a recorded run again, to be typed in the folder `here`; None where it cannot be told."""
    settings, folder = info.get("environment") or {}, info.get("folder") or here
    if "launch" not in info or not info.get("interpreter"):
        return None
    words = [info["interpreter"], *info["launch"], *info["argv"][1:]]
    if not all(isinstance(word, str) and word.isprintable() for word in (*words, *settings.values(), folder)):
        return None  # it would not be shown as it has to be typed
    line = " ".join([*(f"{name}={shlex.quote(value)}" for name, value in settings.items()), shlex.join(words)])
    return line if folder == here else f"cd {shlex.quote(folder)} && {line}"


def _untagged(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$t", "v"}:
            number = plain_number(value)
            return str(number) if number is not None else _untagged(value["v"])
        return {key: _untagged(entry) for key, entry in value.items()}
    return [_untagged(entry) for entry in value] if isinstance(value, list) else value


def pairs(values: Any) -> str:
    """Named values in one line."""
    if not isinstance(values, dict) or "$t" in values:
        return "" if values is None else brief(values)
    return "  ".join(f"{key} {brief(value)}" for key, value in values.items())


def _named(fields: Mapping[str, Any], *names: str) -> str:
    return "".join(f"  {name} {brief(fields[name])}" for name in names if fields.get(name) is not None)


def _module(fields: Mapping[str, Any]) -> str:
    status = "" if fields.get("status", "ok") == "ok" else f" {fields['status']}"
    result = "" if fields.get("result") is None else f" → {brief(fields['result'])}"
    return f"{brief(fields['name'])}{status}{result}{_named(fields, 'index', 'phase')}"


def _tokens(fields: Mapping[str, Any]) -> str:
    tokens = fields["tokens"]
    return f"{len(tokens):,}: {brief(' '.join(brief(token) for token in tokens[:_SHOWN]))}"


def _superseded(fields: Mapping[str, Any]) -> str:
    ranges = ", ".join(f"{span['first']} to {span['last']}" for span in fields["ranges"])
    difference = ""
    if fields.get("expected") is not None or fields.get("found") is not None:
        difference = f"; {brief(_values(fields.get('expected')))} became {brief(_values(fields.get('found')))}"
    return f"records {ranges}: {fields['reason']}{difference}"


def _values(fields: Any) -> Any:
    """What a record in a report on a difference is about."""
    dropped = ("n", "ts", "crc", "info", "back", "top")
    return {key: value for key, value in fields.items() if key not in dropped} if isinstance(fields, dict) else fields


def _resumed(fields: Mapping[str, Any]) -> str:
    origin = f"from checkpoint {fields['checkpoint']}" if fields.get("checkpoint") else "from the start"
    return f"attempt {fields['attempt']} {origin}, {fields.get('replay', 0):,} records to replay"


def _others(fields: Mapping[str, Any]) -> str:
    shared = ("kind", "n", "ts", "lane", "top", "back", "info", "crc", "synced", "join", "superseded")
    return pairs({key: value for key, value in fields.items() if key not in shared})


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "token": lambda fields: brief(fields.get("token")) + _named(fields, "z", "phase", "tier", "source", "meta"),
    "tokens": _tokens,
    "emission": lambda fields: brief(fields["text"]) + _named(fields, "z", "phase", "quality", "meta"),
    "metric": lambda fields: pairs(fields["values"]),
    "module": _module,
    "once": lambda fields: f"{brief(fields['key'])} = {brief(fields.get('value'))}",
    "transition": lambda fields: f"{brief(fields.get('before'))} → {brief(fields.get('after'))}",
    "event": lambda fields: f"{brief(fields['name'])}  {pairs(fields.get('data'))}".rstrip(),
    "file": lambda fields: f"{brief(fields['name'])}, {fields['size']:,} bytes, {fields['sha256'][:12]}…",
    "note": lambda fields: brief(fields["text"]),
    "annotated": lambda fields: brief(fields["text"]),
    "opened": lambda fields: brief(fields["session"]) + _named(fields, "config"),
    "resumed": _resumed,
    "superseded": _superseded,
    "checkpoint": lambda fields: f"{fields['number']}" + _named(fields, "name", "at", "metrics", "size"),
    "released": lambda fields: f"checkpoints of records {', '.join(map(str, fields['checkpoints']))}",
    "failed": lambda fields: f"{brief(fields['key'])}, in which records {fields['first']} to {fields['last']} were made",
    "closed": lambda fields: fields["status"] + _named(fields, "reason", "to"),
}
