"""Checks what a guest says about the inside of its model, before anything else reads it.

The frame is hostile: only known members with finite numbers of a sensible size pass, and each row is
built anew. What passes is still the guest's word: trust U.
"""

from __future__ import annotations

import math

LAYERS_MAX = 64  # rows of one kind
EXPERTS_MAX = 64
_KINDS = ("block", "attn", "router", "embed", "head", "product")
_SIZES = ("act_rms", "act_absmax", "act_chan_kurt", "act_nonfinite", "grad_rms", "attn_logit_absmax", "attn_entropy_frac")
_SHARES = ("attn_entropy_frac",)
_COUNTS = ("act_nonfinite",)


def layer_rows(reported: object) -> list[dict]:
    """The rows, rebuilt; a `ValueError` names what is wrong with them."""
    if not isinstance(reported, list) or len(reported) > LAYERS_MAX * len(_KINDS):
        raise ValueError("`layers` is not a list, or too long")
    rows, seen = [], {}
    for entry in reported:
        row = _row(entry)
        place = (row["kind"], row["layer"])
        seen[row["kind"]] = seen.get(row["kind"], 0) + 1
        if place in seen or seen[row["kind"]] > LAYERS_MAX:
            raise ValueError(f"too many rows of kind `{row['kind']}`, or one twice")
        seen[place] = 1
        rows.append(row)
    return rows


def _row(entry: object) -> dict:
    if not isinstance(entry, dict) or entry.get("kind") not in _KINDS:
        raise ValueError("a row of `layers` is not an object of a known kind")
    layer = entry.get("layer")
    if not _is_count(layer, 1 << 16):
        raise ValueError("a row of `layers` has no number")
    row = {"layer": layer, "kind": entry["kind"], "trust": "U"}
    for name, value in entry.items():
        if name in _SIZES:
            row[name] = _size(name, value)
        elif name == "router_load":
            row[name] = _load(value)
        elif name not in ("layer", "kind"):
            raise ValueError("a row of `layers` has an unknown member")
    return row


def _size(name: str, value: object) -> float | int:
    if name in _COUNTS and _is_count(value, 1 << 53):
        return value
    if name in _COUNTS or not _is_number(value) or not 0.0 <= value <= (1.0 if name in _SHARES else 1e300):
        raise ValueError(f"`{name}` is out of range")
    return float(f"{value:.9g}")


def _load(value: object) -> list[float]:
    if not isinstance(value, list) or not 2 <= len(value) <= EXPERTS_MAX:
        raise ValueError("`router_load` is not a list of shares")
    if not all(_is_number(share) and 0.0 <= share <= 1.0 for share in value) or abs(sum(value) - 1.0) > 1e-3:
        raise ValueError("`router_load` does not hold shares that add up to one")
    return [float(f"{share:.6g}") for share in value]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= 1 << 53 if isinstance(value, int) else math.isfinite(value)


def _is_count(value: object, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit
