"""The part of a form that asks where a job may run. It only shows: read_placement checks what is entered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from apps.jobs import nodes
from apps.jobs.placement import DEFAULT_QUEUE, GB, PRIORITY_AT_MOST, Placement

_NUMBER = {"inputmode": "decimal", "autocomplete": "off"}
FIELDS = ("queue", "cpus", "memory_gb", "gpus", "priority")
NEEDS = ("cpus", "memory_gb", "gpus")


class PlacementFields(forms.Form):
    """Fields to inherit; the page includes jobs/_placement.html with the form."""

    queue = forms.CharField(
        label="Queue",
        required=False,
        initial=DEFAULT_QUEUE,
        max_length=60,
        widget=forms.TextInput(
            attrs={"list": "queues", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
        help_text="Workers take jobs of the queues that they serve.",
    )
    cpus = forms.CharField(
        label="Processors",
        required=False,
        widget=forms.TextInput(attrs=_NUMBER | {"placeholder": "shared"}),
        help_text="Kept for it as long as it runs; libraries are told to use so many threads.",
    )
    memory_gb = forms.CharField(
        label="Memory",
        required=False,
        widget=forms.TextInput(attrs=_NUMBER | {"placeholder": "shared"}),
        help_text="In GB. Kept for it, and the most that it may use.",
    )
    gpus = forms.CharField(
        label="GPUs",
        required=False,
        widget=forms.TextInput(attrs=_NUMBER | {"inputmode": "numeric", "placeholder": "none"}),
        help_text="The worker says which: CUDA_VISIBLE_DEVICES.",
    )
    priority = forms.CharField(
        label="Priority",
        required=False,
        initial=0,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        help_text=f"-{PRIORITY_AT_MOST} to {PRIORITY_AT_MOST}, higher first, among the jobs of this project. Other "
        "projects get their turn all the same.",
    )

    @property
    def queues(self) -> list[str]:
        """What living workers serve, to choose from."""
        return served_queues()

    @property
    def placement_open(self) -> bool:
        """Whether something here is wrong or was filled in."""
        return any(name in self.errors for name in FIELDS) or any(
            str(self[name].value() or "") not in ("", "0", DEFAULT_QUEUE) for name in FIELDS
        )


def served_queues() -> list[str]:
    """The queues of the living workers, sorted."""
    return sorted({queue for queues in nodes.living().values_list("queues", flat=True) for queue in queues})


def placement_body(entered: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a body, as read_placement takes them, from what was entered."""
    needs = {name: str(entered.get(name) or "").strip() for name in NEEDS}
    return {
        "queue": str(entered.get("queue") or "").strip(),
        "priority": str(entered.get("priority") or "").strip(),
        "resources": {name: value for name, value in needs.items() if value},
    }


def initial_placement(placement: Placement) -> dict[str, Any]:
    """What fills the fields in again."""
    needs = placement.needs
    return {
        "queue": placement.queue,
        "priority": placement.priority,
        "cpus": f"{needs.cpus:g}" if needs.cpus else "",
        "memory_gb": f"{needs.memory_bytes / GB:g}" if needs.memory_bytes else "",
        "gpus": needs.gpus or "",
    }


def form_field(name: str) -> str:
    """The field of the form that an error about a field of the body belongs to."""
    return name.removeprefix("resources.") if name.startswith("resources.") else name
