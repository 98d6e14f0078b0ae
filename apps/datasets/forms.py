"""Forms of datasets: the file is received by the gateway, so the form only checks what stands beside it."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.datasets.sandbox.options import SHEET_LENGTH

HEADER = (("auto", "Find out"), ("yes", "The first line is the header"), ("no", "There is no header"))
SEPARATOR = (
    ("auto", "Find out"), ("comma", "Comma  ,"), ("semicolon", "Semicolon  ;"), ("tab", "Tab"), ("pipe", "Pipe  |"),
)  # fmt: skip
ENCODING = (
    ("auto", "Find out"), ("utf-8", "UTF-8"), ("utf-16", "UTF-16"), ("windows-1252", "Windows-1252"), ("latin-1", "Latin-1"),
)  # fmt: skip
ACCEPT = ".csv,.tsv,.txt,.jsonl,.ndjson,.parquet,.xlsx,.xlsm,.xlsb,.xls,.ods,.gz"


class OptionsForm(forms.Form):
    """How the file is laid out, where finding out is not enough."""

    header = forms.ChoiceField(
        choices=HEADER, required=False, initial="auto", help_text="CSV, TSV and Excel."
    )
    separator = forms.ChoiceField(choices=SEPARATOR, required=False, initial="auto", help_text="CSV only.")
    encoding = forms.ChoiceField(
        choices=ENCODING, required=False, initial="auto", help_text="Text files only."
    )
    sheet = forms.CharField(
        label="Worksheet",
        required=False,
        max_length=SHEET_LENGTH,
        help_text="Excel only; empty: the first that is filled.",
    )
    advanced: tuple[str, ...] = ("header", "separator", "encoding", "sheet")

    def options(self) -> dict[str, Any]:
        """The choices, for the action."""
        return {name: self.cleaned_data.get(name) or "" for name in self.advanced}


class RetryForm(OptionsForm):
    """The same choices, all in sight, for reading an upload again."""

    advanced = ()

    def options(self) -> dict[str, Any]:
        """The choices, for the action."""
        return {name: self.cleaned_data.get(name) or "" for name in OptionsForm.advanced}


class StagedFileField(forms.FileField):
    """Required for the browser; the gateway has already received it, so here is nothing to check."""

    def clean(self, data: Any, initial: Any = None) -> None:
        """staged_file(request) finds it, or says that it is missing."""


class UploadForm(OptionsForm):
    """A file for the next version."""

    file = StagedFileField(
        widget=forms.FileInput(attrs={"accept": ACCEPT}),
        help_text="CSV, TSV, JSON lines, Parquet or Excel, each also gzipped; at most 5 GB. Drop it here or choose it.",
    )
    field_order: tuple[str, ...] = ("file", "header", "separator", "encoding", "sheet")


class NewDatasetForm(UploadForm):
    """The first version of a new dataset."""

    name = forms.CharField(
        max_length=63,
        widget=forms.TextInput(
            attrs={"data-name-from-file": True, "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text="Letters, digits, '_', '.' and '-'. Runs refer to it by this name.",
    )
    description = forms.CharField(
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What a row is, and where it comes from.",
    )
    field_order = ("file", "name", "description", "header", "separator", "encoding", "sheet")


class VersionForm(forms.Form):
    """Describe a version."""

    description = forms.CharField(
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What is particular about it, such as where it was cut or what was mended.",
    )


class DatasetForm(forms.Form):
    """Rename or describe."""

    name = forms.CharField(
        max_length=63,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="Code that names it has to follow.",
    )
    description = forms.CharField(required=False, max_length=5000, widget=forms.Textarea(attrs={"rows": 4}))
