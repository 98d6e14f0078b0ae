"""Forms of environments: a new one, and its name and description."""

from __future__ import annotations

from django import forms

_DESCRIPTION = forms.Textarea(attrs={"rows": 2})


class EnvironmentForm(forms.Form):
    """A new environment."""

    use_required_attribute = False
    wide = ("requirements",)

    name = forms.CharField(max_length=63, help_text="Runs name it: letters, digits, '_', '.' and '-'.")
    requirements = forms.CharField(
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 10, "class": "code", "spellcheck": "false", "autocapitalize": "none",
                "autocomplete": "off", "wrap": "off", "placeholder": "xgboost>=2,<3\npandas\nmlflow",
            }
        ),
        help_text="As in requirements.txt: one package a line. A script has these packages and no others; add mlflow "
        "to log metrics, pandas and pyarrow to read a channel.",
    )  # fmt: skip
    file = forms.FileField(
        label="Or a file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".txt,text/plain", "data-fills": "id_requirements"}),
        help_text="A requirements.txt; it takes the place of the lines above.",
    )
    description = forms.CharField(required=False, widget=_DESCRIPTION)

    def clean(self) -> dict[str, object]:
        """The file's text in place of the lines."""
        super().clean()
        data: dict[str, object] = self.cleaned_data
        sent = data.pop("file", None)
        if sent is not None:
            raw = sent.read(64 * 1024 + 1)  # type: ignore[attr-defined]
            try:
                data["requirements"] = raw.decode("utf-8-sig")
                self.errors.pop("requirements", None)
            except UnicodeDecodeError:
                self.add_error("file", "This file is not text in UTF-8.")
        return data


class EnvironmentEdit(forms.Form):
    """Name and description."""

    use_required_attribute = False

    name = forms.CharField(max_length=63)
    description = forms.CharField(required=False, widget=_DESCRIPTION)
