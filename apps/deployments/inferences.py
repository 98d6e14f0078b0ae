"""Reads of recorded inferences: pages, one by id, and whole windows for monitors.

Every read joins two places: the sealed segments in the object store, and the spool of the last seconds. The
spool is read first and the index second, so an inference that is sealed in between is seen once, never missed.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.deployments import layout, segments
from apps.deployments.models import Deployment, InferenceLabel, InferenceSegment

PAGE = 50


@dataclass(frozen=True)
class Inference:
    """One recorded inference. features in signature order; label: what was told later, else what came with
    the import; latency_ms None for imports."""

    id: UUID
    time: datetime.datetime
    origin: str
    revision: int
    model: str
    features: Mapping[str, Any]
    prediction: Any
    probabilities: list[float] | None = None
    label: Any = None
    latency_ms: float | None = None
    request_id: str = ""

    @property
    def is_right(self) -> bool | None:
        """Whether the prediction equals the label; None without a label."""
        return None if self.label is None else str(self.label) == str(self.prediction)

    @property
    def confidence(self) -> float | None:
        """The highest class probability."""
        return max(self.probabilities) if self.probabilities else None


@dataclass(frozen=True)
class InferencePage:
    """Inferences, newest first. next: the cursor of the following page (an inference id), None at the end."""

    items: list[Inference] = field(default_factory=list)
    next: str | None = None


@dataclass(frozen=True)
class InferenceWindow:
    """The files that hold a window. paths: Parquet files in the layout of `apps.deployments.layout`; they may
    hold rows outside the window, so readers filter __time >= start and __time < end. labels: a Parquet file
    with the columns `id` and `label` (text) of labels told later, which take precedence over __label; None
    when there are none."""

    paths: list[Path]
    labels: Path | None
    start: datetime.datetime
    end: datetime.datetime


def list_inferences(
    deployment: Deployment,
    *,
    limit: int = PAGE,
    before: UUID | None = None,
    start: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
) -> InferencePage:
    """One page of inferences, newest first, with id < `before` (the cursor) and start <= time < end."""
    low, high = _bounds(before, start, end)
    spool, rows = _read_both(deployment, start=start, end=end, before=before)
    found: dict[UUID, Inference] = {i.id: i for i in spool if low <= i.id < high}
    # Segments by falling end: once the page is full of things newer than a segment's end, it can be left closed.
    for row in rows:
        kept = sorted(found, reverse=True)[: limit + 1]
        if len(kept) > limit and layout.time_of_id(kept[-1]) > row.end:
            break
        for inference in _read_segment(row, limit=limit + 1, low=low, high=high):
            found[inference.id] = inference
    ordered = sorted(found.values(), key=lambda inference: inference.id, reverse=True)
    items = _with_labels(deployment, ordered[:limit])
    return InferencePage(items, str(items[-1].id) if len(ordered) > limit else None)


def get_inference(deployment: Deployment, inference_id: UUID) -> Inference | None:
    """One inference by its id, or None."""
    if inference_id.version != 7:
        return None
    moment = layout.time_of_id(inference_id)
    slack = datetime.timedelta(milliseconds=2)
    spool, rows = _read_both(deployment, start=moment - slack, end=moment + slack, before=None)
    for inference in spool:
        if inference.id == inference_id:
            return _with_labels(deployment, [inference])[0]
    following = UUID(int=inference_id.int + 1)
    for row in rows:
        for inference in _read_segment(row, limit=1, low=inference_id, high=following):
            return _with_labels(deployment, [inference])[0]
    return None


def inference_window(
    deployment: Deployment, start: datetime.datetime, end: datetime.datetime, *, folder: Path
) -> InferenceWindow:
    """Everything recorded in start <= time < end as local Parquet files.

    folder: an existing private folder, in which what is still in the spool and the labels are written; it
    must outlive the use of the paths. Sealed segments are given in place and must not be written to.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from adapters.storage import get_store

    files = segments.unsealed(deployment.pk)
    index = _index(deployment, start=start, end=end)
    sealed = set(
        InferenceSegment.objects.filter(pk__in=[UUID(p.stem) for p, _ in files]).values_list("pk", flat=True)
    )
    store = get_store()
    paths = [store.local(key) for key in index.order_by("start").values_list("key", flat=True)]
    for spool in segments.spool_tables(deployment.pk, sealed, files):
        path = folder / f"spool-{spool.id}.parquet"
        pq.write_table(spool.table(), path)
        paths.append(path)
    first, last = layout.id_range(start, end)
    told = list(
        InferenceLabel.objects.filter(deployment=deployment, inference_id__gte=first, inference_id__lt=last)
        .order_by("inference_id")
        .values_list("inference_id", "value")
    )
    labels = None
    if told:
        labels = folder / "labels.parquet"
        table = pa.table({"id": [str(i) for i, _ in told], "label": [_text(value) for _, value in told]})
        pq.write_table(table, labels)
    return InferenceWindow(paths, labels, start, end)


def count_inferences(deployment: Deployment) -> int:
    """How many inferences are recorded, the spool of the last seconds included."""
    from django.db.models import Sum

    files = segments.unsealed(deployment.pk)
    total = deployment.segments.aggregate(n=Sum("rows"))["n"] or 0
    sealed = set(
        InferenceSegment.objects.filter(pk__in=[UUID(p.stem) for p, _ in files]).values_list("pk", flat=True)
    )
    pending = sum(max(0, data.count(b"\n") - 1) for path, data in files if UUID(path.stem) not in sealed)
    return int(total) + pending


def time_span(deployment: Deployment) -> tuple[datetime.datetime, datetime.datetime] | None:
    """The times of the first and the last sealed inference, or None."""
    from django.db.models import Max, Min

    found = deployment.segments.aggregate(first=Min("start"), last=Max("end"))
    return (found["first"], found["last"]) if found["first"] else None


def _text(value: Any) -> str:
    """A label as text, in the form in which predictions are written: true, 1, 1.5, yes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _bounds(
    before: UUID | None, start: datetime.datetime | None, end: datetime.datetime | None
) -> tuple[UUID, UUID]:
    low = layout.id_range(start, start)[0] if start else UUID(int=0)
    high = layout.id_range(end, end)[0] if end else UUID(int=(1 << 128) - 1)
    return low, min(high, before) if before else high


def _index(
    deployment: Deployment, *, start: datetime.datetime | None, end: datetime.datetime | None
) -> QuerySet[InferenceSegment]:
    wanted = Q(deployment=deployment)
    if start:
        wanted &= Q(end__gte=start)
    if end:
        wanted &= Q(start__lt=end)
    return InferenceSegment.objects.filter(wanted)


def _read_both(
    deployment: Deployment,
    *,
    start: datetime.datetime | None,
    end: datetime.datetime | None,
    before: UUID | None,
) -> tuple[list[Inference], Iterable[InferenceSegment]]:
    files = segments.unsealed(deployment.pk)
    rows = _index(deployment, start=start, end=end)
    if before is not None:
        rows = rows.filter(start__lte=layout.time_of_id(before) + datetime.timedelta(milliseconds=1))
    sealed = set(
        InferenceSegment.objects.filter(pk__in=[UUID(p.stem) for p, _ in files]).values_list("pk", flat=True)
    )
    spool = [i for s in segments.spool_tables(deployment.pk, sealed, files) for i in _from_spool(s)]
    return spool, rows.order_by("-end").iterator(chunk_size=50)


def _from_spool(spool: segments.SpoolFile) -> Iterator[Inference]:
    names = [name for name, _ in spool.columns]
    for line in spool.lines:
        yield Inference(
            id=UUID(line["id"]),
            time=datetime.datetime.fromisoformat(line["t"]),
            origin="predict",
            revision=spool.header["revision"],
            model=spool.header["model"],
            features=dict(zip(names, line["x"], strict=True)),
            prediction=line["y"],
            probabilities=line.get("p"),
            latency_ms=line["ms"],
            request_id=line["q"],
        )


def _read_segment(row: InferenceSegment, *, limit: int, low: UUID, high: UUID) -> list[Inference]:
    """The newest `limit` inferences of one segment with low <= id < high."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from adapters.storage import get_store

    path = get_store().local(row.key)
    table = pq.read_table(path, filters=[(layout.ID, ">=", str(low)), (layout.ID, "<", str(high))])
    order = pc.sort_indices(table, sort_keys=[(layout.ID, "descending")])
    newest = table.take(order[:limit])
    names = [name for name in newest.column_names if name not in layout.SYSTEM]
    return [
        Inference(
            id=UUID(item[layout.ID]),
            time=item[layout.TIME],
            origin=item[layout.ORIGIN],
            revision=item[layout.REVISION],
            model=item[layout.MODEL] or "",
            features={name: item[name] for name in names},
            prediction=item[layout.PREDICTION],
            probabilities=item[layout.PROBABILITIES],
            label=item[layout.LABEL],
            latency_ms=item[layout.LATENCY],
            request_id=item[layout.REQUEST] or "",
        )
        for item in newest.to_pylist()
    ]


def _with_labels(deployment: Deployment, items: list[Inference]) -> list[Inference]:
    """The same inferences with the labels told later."""
    import dataclasses

    told = dict(
        InferenceLabel.objects.filter(
            deployment=deployment, inference_id__in=[i.id for i in items]
        ).values_list("inference_id", "value")
    )
    return [dataclasses.replace(i, label=told[i.id]) if i.id in told else i for i in items]


def known_ids(deployment: Deployment, wanted: set[UUID]) -> set[UUID]:
    """Which of these ids are inferences of the deployment."""
    import pyarrow.parquet as pq

    from adapters.storage import get_store

    possible = {i for i in wanted if i.version == 7}
    if not possible:
        return set()
    start = layout.time_of_id(min(possible))
    end = layout.time_of_id(max(possible)) + datetime.timedelta(milliseconds=1)
    spool, rows = _read_both(deployment, start=start, end=end, before=None)
    found = {i.id for i in spool} & possible
    store = get_store()
    for row in rows:
        inside = {str(i) for i in possible - found if row.start <= layout.time_of_id(i) <= row.end}
        if inside:
            ids = pq.read_table(store.local(row.key), columns=[layout.ID]).column(0).to_pylist()
            found |= {UUID(i) for i in inside.intersection(ids)}
    return found
