"""How a form is laid out: help beside the field, errors under it, the advanced part folded.

A form says what it wants with plain class attributes:

* ``advanced = ("seed", "test_size")`` — fields folded under "Advanced";
* ``wide = ("parameters",)`` — fields that take the whole width;
* ``units = {"timeout": "seconds"}`` — the unit, shown in the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from foundation.errors import AtelierError


@dataclass(frozen=True)
class FieldView:
    """A bound field with what templates/components/field.html needs to draw it."""

    bound: BoundField
    kind: str
    wide: bool = False
    unit: str = ""
    optional: bool = False


@dataclass(frozen=True)
class FormView:
    """The fields of a form in the order they are drawn."""

    form: Any
    hidden: list[BoundField]
    plain: list[FieldView]
    advanced: list[FieldView]
    advanced_open: bool


def kind_of(bound: BoundField) -> str:
    """``check``, ``choices`` (radio buttons, many boxes) or ``control``."""
    widget = bound.field.widget
    if isinstance(widget, forms.CheckboxInput):
        return "check"
    if isinstance(widget, (forms.RadioSelect, forms.CheckboxSelectMultiple)):
        return "choices"
    return "control"


def field_view(bound: BoundField) -> FieldView:
    """One field, drawn as its form asks."""
    form = bound.form
    widget = bound.field.widget
    wide = bound.name in getattr(form, "wide", ()) or isinstance(widget, forms.FileInput)
    # A select always has a choice made, if only "all": the word would only add noise there.
    optional = not bound.field.required and not isinstance(widget, forms.Select)
    return FieldView(bound, kind_of(bound), wide, getattr(form, "units", {}).get(bound.name, ""), optional)


def form_view(form: Any) -> FormView:
    """Sort the fields into plain and advanced, and put the cursor on the first error."""
    folded = tuple(getattr(form, "advanced", ()))
    visible = form.visible_fields()
    first_error = next((bound for bound in visible if bound.errors), None)
    if first_error is not None:
        first_error.field.widget.attrs["autofocus"] = True
    return FormView(
        form=form,
        hidden=form.hidden_fields(),
        plain=[field_view(bound) for bound in visible if bound.name not in folded],
        advanced=[field_view(bound) for bound in visible if bound.name in folded],
        advanced_open=any(bound.errors for bound in visible if bound.name in folded),
    )


def add_error(form: Any, error: AtelierError) -> None:
    """Show a typed error in the form: at the field its detail names, else above the fields."""
    field = error.detail.get("field")
    form.add_error(field if field in form.fields else None, error.message)
