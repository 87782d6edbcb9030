"""The clip table: the facts of all parts as one DataFrame."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from store.access.index import FAILED_CODE
from store.access.rows import valid_rows
from store.format.clip_part import ClipPart
from store.format.columns import STATUSES
from store.records import ClipFacts


def clip_table(parts: Sequence[ClipPart]) -> pd.DataFrame:
    """One row a clip, indexed by `clip_id` (sorted); numbers are int64 and float64, flags bool, all else text."""
    _, flat = valid_rows(
        ((part.columns["clip_id"], part.columns["fingerprint"], part.columns["status"]) for part in parts), FAILED_CODE
    )
    columns = {
        field.name: _column([part.columns[field.name] for part in parts], flat, field.type)
        for field in fields(ClipFacts)
    }
    columns["status"] = pd.Series(np.array([str(status) for status in STATUSES])[columns["status"]], dtype="str")
    return pd.DataFrame(columns).set_index("clip_id")


def _column(pieces: list[Any], flat: np.ndarray[Any, np.dtype[np.int64]], kind: Any) -> Any:
    if kind is str:
        texts = [text for piece in pieces for text in piece]
        return pd.Series([texts[place] for place in flat.tolist()], dtype="str")
    dtype = {int: np.int64, float: np.float64, bool: np.bool_}.get(kind, np.uint8)
    return np.concatenate([np.empty(0, dtype), *pieces])[flat]
