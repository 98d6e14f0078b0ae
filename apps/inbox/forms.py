"""How somebody wants to hear of what."""

from __future__ import annotations

from typing import Any

from django import forms

from apps.inbox.states import Channel, Kind


class PreferencesForm(forms.Form):
    """The address, and one choice for each kind of news. Without a mail server there is no e-mail to choose."""

    email = forms.EmailField(
        label="E-mail address",
        required=False,
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )

    def __init__(self, *args: Any, mail_works: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not mail_works:
            self.fields["email"].help_text = "Kept for later: this studio has no mail server yet."
        for kind in Kind:
            self.fields[kind.value] = forms.ChoiceField(
                label=kind.label, choices=Channel.choices, widget=forms.Select(attrs={"class": "auto-width"})
            )

    @property
    def choices(self) -> list[Any]:
        """The bound fields of the kinds."""
        return [self[kind.value] for kind in Kind]

    def channels(self) -> dict[str, str]:
        """kind → channel."""
        return {kind.value: self.cleaned_data[kind.value] for kind in Kind}
