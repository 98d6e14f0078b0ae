"""The first step of every saved pipeline: raw columns of any dtype in, tidy columns out.

The classes here travel inside the saved model by value (cloudpickle), so that a model loads where Atelier
is not installed. Keep this module self-contained: it may import NumPy, pandas and scikit-learn, nothing
else, and it must not refer to other modules of ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

MISSING = "(missing)"
#: Numbers beyond this count as this: squares of larger ones, and trees' 32 bits, have no room for them.
LARGEST = 1e30
PARTS = ("day", "year", "month", "dayofmonth", "dayofweek", "hour")
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


class ColumnPreparer(TransformerMixin, BaseEstimator):
    """Brings each used column into the one dtype the next step expects.

    kinds: column -> "numeric", "boolean", "categorical", "text" or "date", in the order of the output.
    Numbers and booleans become float64 (missing: NaN, infinite: NaN, beyond ±LARGEST: ±LARGEST), categories and texts become str
    (missing: "(missing)" and ""), a date becomes float64 parts (part_name). A column that is
    absent counts as all missing: which columns must be there is the signature's business. Extra columns
    are ignored. Input: DataFrame (rows, >= used columns); output: DataFrame (rows, prepared columns).
    """

    def __init__(self, kinds: dict[str, str]) -> None:
        self.kinds = kinds

    def fit(self, X: pd.DataFrame, y: Any = None) -> ColumnPreparer:
        """Learns which parts of each date vary, so that constant parts are left out."""
        self.parts_ = {}
        for name, kind in self.kinds.items():
            if kind == "date":
                parts = _date_parts(_dates(self._column(X, name)))
                varying = [p for p, v in parts.items() if np.unique(v[~np.isnan(v)]).size > 1]
                self.parts_[name] = varying or ["day"]
        self.n_features_in_ = len(self.kinds)
        self.feature_names_in_ = np.array(list(self.kinds), dtype=object)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """The prepared columns; the index of the input is kept."""
        numeric = [n for n, k in self.kinds.items() if k == "numeric"]
        if len(numeric) == len(self.kinds) and self._all_plain(X, numeric):
            values = X[numeric].to_numpy(dtype=np.float64, copy=True)
            return pd.DataFrame(_bounded(values), columns=numeric, index=X.index, copy=False)
        out: dict[str, Any] = {}
        for name, kind in self.kinds.items():
            column = self._column(X, name)
            if kind == "numeric":
                out[name] = _numbers(column)
            elif kind == "boolean":
                out[name] = _booleans(column)
            elif kind == "categorical":
                out[name] = _strings(column, MISSING)
            elif kind == "text":
                out[name] = _strings(column, "")
            else:
                parts = _date_parts(_dates(column))
                for part in self.parts_[name]:
                    out[part_name(name, part)] = parts[part]
        return pd.DataFrame(out, index=X.index, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the prepared columns, in their order."""
        names: list[str] = []
        for name, kind in self.kinds.items():
            names += [part_name(name, p) for p in self.parts_[name]] if kind == "date" else [name]
        return np.array(names, dtype=object)

    def _column(self, X: pd.DataFrame, name: str) -> pd.Series:
        if name in X.columns:
            return X[name]
        return pd.Series([None] * len(X), index=X.index, dtype=object)

    def _all_plain(self, X: pd.DataFrame, names: list[str]) -> bool:
        return all(n in X.columns and X.dtypes[n].kind in "iufb" for n in names)


class DateParts:
    """Selects the parts of some date columns in a ColumnTransformer, whichever of them were kept."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def __call__(self, X: pd.DataFrame) -> list[str]:
        wanted = {part_name(n, p) for n in self.names for p in PARTS}
        return [c for c in X.columns if c in wanted]


def part_name(column: str, part: str) -> str:
    """The prepared column that holds one part of a date; the brackets keep it apart from raw columns."""
    return f"{column} ⟨{part}⟩"


def _numbers(column: pd.Series) -> np.ndarray:
    if column.dtype.kind in "iufb" and isinstance(column.dtype, np.dtype):
        values: np.ndarray = column.to_numpy(dtype=np.float64, copy=True)
    else:
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    return _bounded(values)


def _bounded(values: np.ndarray) -> np.ndarray:
    """In place: infinite is missing, huge is LARGEST."""
    values[np.isinf(values)] = np.nan
    return np.clip(values, -LARGEST, LARGEST, out=values)


def _booleans(column: pd.Series) -> np.ndarray:
    if column.dtype.kind == "b" and isinstance(column.dtype, np.dtype):
        return np.asarray(column, dtype=np.float64)
    out = np.full(len(column), np.nan)
    for row, value in enumerate(column.to_numpy(dtype=object, na_value=None)):
        if value is None or value != value:
            continue
        text = str(value).strip().lower()
        if text in _TRUE:
            out[row] = 1.0
        elif text in _FALSE:
            out[row] = 0.0
    return out


def _strings(column: pd.Series, missing: str) -> np.ndarray:
    values = column.to_numpy(dtype=object, na_value=None)
    out = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        out[row] = missing if value is None or value != value else str(value)
    return out


def _dates(column: pd.Series) -> pd.Series:
    dates = pd.to_datetime(column, errors="coerce", utc=True)
    return dates.dt.tz_localize(None)


def _date_parts(dates: pd.Series) -> dict[str, np.ndarray]:
    here = dates.notna().to_numpy()
    seconds = np.full(len(dates), np.nan)
    stamps = dates.to_numpy().astype("datetime64[s]").astype(np.int64)
    seconds[here] = stamps[here]
    parts: dict[str, np.ndarray] = {"day": np.floor(seconds / 86400.0)}
    for name, part in zip(PARTS[1:], ("year", "month", "day", "day_of_week", "hour"), strict=True):
        parts[name] = getattr(dates.dt, part).to_numpy(dtype=np.float64, na_value=np.nan)
    return parts
