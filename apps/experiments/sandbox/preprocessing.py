"""Plans what each column is to the model and builds the preprocessing that is saved with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from apps.experiments.sandbox.columns import ColumnPreparer, DateParts
from foundation.tasks import UserError

#: One-hot keeps at most this many columns per category; the rest share one column.
CATEGORIES_AT_MOST = 50
#: Values in less than this share of the rows share one column.
RARE_SHARE = 0.002
#: From this many different values on, a string column may be free text or an identifier.
MANY = 50
TEXT_DIMENSIONS = 16


@dataclass
class FeaturePlan:
    """kinds: used column -> kind of ColumnPreparer, in the dataset's order. left_out: column -> why not."""

    kinds: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def plan_features(frame: pd.DataFrame, target: str, chosen: Sequence[str] | None = None) -> FeaturePlan:
    """Decides for every column but the target how it is used, or why it is not.

    chosen: only these columns may be used (None: all). Columns that are empty or constant teach nothing;
    strings that are nearly all different are identifiers and would be learned by heart.
    Raises UserError "features.unknown" for a chosen column that is not there, "features.none" when no
    usable column is left.
    """
    for name in chosen or ():
        if name not in frame.columns or name == target:
            why = "is the target itself" if name == target else "does not exist or cannot be used"
            raise UserError(
                f"The feature '{name}' {why}.", code="features.unknown", detail={"field": "features"}
            )
    plan = FeaturePlan()
    for name in frame.columns:
        if name == target:
            continue
        if chosen is not None and name not in chosen:
            plan.left_out[name] = "not chosen"
            continue
        kind, reason = _kind(frame[name])
        if reason:
            plan.left_out[name] = reason
        else:
            plan.kinds[name] = kind
    if not plan.kinds:
        reasons = "; ".join(f"'{n}': {r}" for n, r in list(plan.left_out.items())[:10])
        raise UserError(
            f"No column is left to learn from ({reasons})."
            if reasons
            else f"No column is left to learn from: '{target}' is the only one of the dataset.",
            code="features.none",
            detail={"left_out": plan.left_out},
        )
    return plan


def _kind(column: pd.Series) -> tuple[str, str]:
    """(kind, "") of a usable column, or ("", reason)."""
    present = column.dropna()
    if present.empty:
        return "", "every value is missing"
    different = present.nunique()
    if different == 1 and len(present) == len(column):
        return "", "the same value in every row"
    if column.dtype.kind in "iuf":
        return "numeric", ""
    if column.dtype.kind == "M":
        return "date", ""
    if column.dtype.kind == "b" or all(isinstance(v, bool) for v in present.head(1000)):
        return "boolean", ""
    if different > MANY:
        words = present.head(2000).astype(str).str.split().str.len().mean()
        if words >= 4 and different > 0.5 * len(present):
            return "text", ""
        if different > 0.95 * len(present):
            return "", "nearly every value is different, like an identifier"
    return "categorical", ""


def build_pipeline(kinds: dict[str, str], estimator: Any, *, scales: bool, seed: int) -> Pipeline:
    """Pipeline prepare → encode → model, unfitted; its input is a DataFrame of raw columns.

    Numbers and date parts: median for missing values plus an indicator column, scaled to mean 0 and
    deviation 1 when `scales`. Booleans: most frequent value plus indicator. Categories: one-hot, rare and
    unknown values share a column (or are all zero). Texts: hashed words reduced to 16 dimensions by a
    truncated SVD (latent semantic analysis).
    """
    groups: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        groups.setdefault(kind, []).append(name)
    steps: list[tuple[str, Any]] = [("prepare", ColumnPreparer(dict(kinds)))]
    if set(groups) == {"numeric"}:
        steps.append(("impute", _imputer("median")))
        if scales:
            steps.append(("scale", StandardScaler()))
    else:
        steps.append(("encode", _encoder(groups, scales=scales, seed=seed)))
    return Pipeline([*steps, ("model", estimator)])


def _encoder(groups: dict[str, list[str]], *, scales: bool, seed: int) -> ColumnTransformer:
    parts: list[tuple[str, Any, Any]] = []
    scaler: list[tuple[str, Any]] = [("scale", StandardScaler())] if scales else []
    numeric, dates = groups.get("numeric", []), groups.get("date", [])
    if numeric:
        parts.append(("numbers", Pipeline([("impute", _imputer("median")), *scaler]), numeric))
    if dates:
        parts.append(("dates", Pipeline([("impute", _imputer("median")), *scaler]), DateParts(dates)))
    if booleans := groups.get("boolean"):
        parts.append(("booleans", _imputer("most_frequent"), booleans))
    if categories := groups.get("categorical"):
        onehot = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            min_frequency=RARE_SHARE,
            max_categories=CATEGORIES_AT_MOST,
            sparse_output=False,
        )
        parts.append(("categories", onehot, categories))
    for name in groups.get("text", []):
        words = HashingVectorizer(n_features=2**12, alternate_sign=True, norm="l2")
        reduce = TruncatedSVD(TEXT_DIMENSIONS, random_state=seed)
        parts.append((f"text {name}", Pipeline([("words", words), ("reduce", reduce)]), name))
    return ColumnTransformer(parts, sparse_threshold=0.0)


def _imputer(strategy: str) -> SimpleImputer:
    return SimpleImputer(strategy=strategy, add_indicator=True, keep_empty_features=True)
