"""The form of a schedule: how often in words, or a cron expression."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from django import forms

from apps.jobs.schedules.cron import MAXIMUM_LENGTH
from apps.jobs.schedules.models import Schedule

OFTEN = [
    ("hour", "Every hour"),
    ("day", "Every day"),
    ("workdays", "Monday to Friday"),
    ("week", "Every week"),
    ("month", "On the first of the month"),
    ("cron", "At the times of a cron expression"),
]
WEEKDAYS = [
    ("1", "Monday"),
    ("2", "Tuesday"),
    ("3", "Wednesday"),
    ("4", "Thursday"),
    ("5", "Friday"),
    ("6", "Saturday"),
    ("0", "Sunday"),
]
_DAYS = {"day": "* * *", "workdays": "* * 1-5", "month": "1 * *"}
_FIXED = re.compile(r"^(\d{1,2}) (\d{1,2}) (.+)$")
PREFIX = "parameter-"


def timezones() -> list[str]:
    """Names to choose from, for the page's datalist."""
    return sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone or zone == "UTC")


def words_for(cron: str) -> dict[str, Any]:
    """The fields of the form that say the same as an expression."""
    found = _FIXED.match(cron)
    if cron == "0 * * * *":
        return {"often": "hour", "cron": cron}
    if found and int(found[1]) < 60 and int(found[2]) < 24:
        at = datetime.time(int(found[2]), int(found[1]))
        for often, days in _DAYS.items():
            if found[3] == days:
                return {"often": often, "at": at, "cron": cron}
        weekly = re.fullmatch(r"\* \* ([0-6])", found[3])
        if weekly:
            return {"often": "week", "at": at, "weekday": weekly[1], "cron": cron}
    return {"often": "cron", "cron": cron}


class ScheduleForm(forms.Form):
    """When, on which clock, and with which parameters."""

    use_required_attribute = False  # what is not shown for the chosen rhythm need not be filled in

    often = forms.ChoiceField(
        label="How often", choices=OFTEN, initial="day", widget=forms.Select(attrs={"data-shows": "often"})
    )
    at = forms.TimeField(
        label="At",
        error_messages={"required": "Say at what time."},
        initial=datetime.time(6, 0),
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
    )
    weekday = forms.ChoiceField(label="Day", choices=WEEKDAYS, initial="1")
    cron = forms.CharField(
        label="Cron expression",
        error_messages={"required": "Write an expression of five fields."},
        max_length=MAXIMUM_LENGTH,
        widget=forms.TextInput(
            attrs={"class": "mono", "placeholder": "*/15 8-18 * * 1-5", "spellcheck": "false"}
        ),
        help_text="Minute, hour, day of the month, month, day of the week.",
    )
    timezone = forms.CharField(
        label="Time zone",
        max_length=64,
        widget=forms.TextInput(attrs={"list": "timezones", "autocomplete": "off"}),
        help_text="The clock that the times are read on, with its daylight saving.",
    )
    catch_up = forms.BooleanField(
        label="Make up for a missed time",
        required=False,
        initial=True,
        help_text="When the studio was not running at a due time, start once as soon as it is back.",
    )

    def __init__(self, *args: Any, extra: Mapping[str, forms.Field], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound:
            often = self.data.get("often")
            self.fields["at"].required = often in (*_DAYS, "week")
            self.fields["weekday"].required = often == "week"
            self.fields["cron"].required = often == "cron"
        for name, field in extra.items():
            self.fields[PREFIX + name] = field

    @property
    def parameter_fields(self) -> list[forms.BoundField]:
        """The fields of what is started."""
        return [self[name] for name in self.fields if name.startswith(PREFIX)]

    def expression(self) -> str:
        """The cron expression of what was chosen."""
        data = self.cleaned_data
        often = data["often"]
        if often == "cron":
            return str(data["cron"])
        if often == "hour":
            return "0 * * * *"
        at = data["at"]
        days = f"* * {data['weekday'] or 1}" if often == "week" else _DAYS[often]
        return f"{at.minute} {at.hour} {days}"

    def values(self) -> dict[str, Any]:
        """The values of actions.create_schedule and update_schedule."""
        given = {
            name.removeprefix(PREFIX): value
            for name, value in self.cleaned_data.items()
            if name.startswith(PREFIX) and value not in (None, "")
        }
        return {
            "cron": self.expression(),
            "timezone": self.cleaned_data["timezone"],
            "catch_up": self.cleaned_data["catch_up"],
            "parameters": given,
        }


def initial_of(schedule: Schedule) -> dict[str, Any]:
    """A schedule as the form shows it."""
    return {
        **words_for(schedule.cron),
        "timezone": schedule.timezone,
        "catch_up": schedule.catch_up,
        **{PREFIX + name: value for name, value in schedule.parameters.items()},
    }
