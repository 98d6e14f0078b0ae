"""The fields of the page of a new script's run; the page's rows (parameters, channels) are in page.py."""

from __future__ import annotations

from django import forms

from apps.jobs.placement_form import PlacementFields

HERE, GIT, SAME = "here", "git", "same"
ORIGINS = [
    (HERE, "A script or an archive"),
    (GIT, "A git repository"),
    (SAME, "The code of the run this is filled in from"),
]


class ScriptForm(PlacementFields):
    """Everything but the rows. It only shows: what is entered is checked by parse_script."""

    use_required_attribute = False
    wide = ("source",)
    units = {"minutes": "minutes"}

    origin = forms.ChoiceField(
        label="Code",
        choices=ORIGINS,
        widget=forms.Select(attrs={"data-shows": "origin"}),
    )
    git_url = forms.CharField(
        label="Repository",
        max_length=500,
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Its https address, such as https://example.org/team/churn.",
    )
    git_commit = forms.CharField(
        label="Commit",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "code", "autocomplete": "off", "spellcheck": "false"}),
        help_text="A hash, a branch or a tag. Left empty, the newest commit of the default branch. The run keeps the hash.",
    )
    git_folder = forms.CharField(
        label="Folder",
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"class": "code", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Where the code lies in the repository; left empty, the whole of it.",
    )
    git_token = forms.CharField(
        label="Token",
        required=False,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="For a private repository. It is used once, to fetch, and kept nowhere.",
    )
    source = forms.CharField(
        label="Script",
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 24, "class": "code editor", "spellcheck": "false", "autocapitalize": "none",
                "autocomplete": "off", "data-editor": "", "wrap": "off",
            }
        ),
        help_text="Runs from its first line, as `python train.py` would. Tab indents; Esc and then Tab leaves.",
    )  # fmt: skip
    code = forms.FileField(
        label="Or a file",
        required=False,
        widget=forms.FileInput(
            attrs={"accept": ".py,.zip,.tar.gz,.tgz,.tar,text/x-python", "data-fills": "id_source"}
        ),
        help_text="A .py file of 1 MB, or a .zip or .tar.gz of 50 MB at most; it takes the place of the script above.",
    )
    resume = forms.BooleanField(
        label="Go on from its checkpoint",
        required=False,
        help_text="The folder of checkpoints holds what that run has left there, instead of nothing.",
    )
    entry_point = forms.CharField(
        label="Entry point",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "code", "autocomplete": "off", "spellcheck": "false"}),
        help_text="What the script is called, or the path of the file that is run, such as src/train.py.",
    )
    environment = forms.ChoiceField(
        label="Packages",
        required=False,
        widget=forms.Select(attrs={"data-shows": "packages"}),
        help_text="What the script can import. An environment holds only what its requirements name.",
    )
    requirements = forms.CharField(
        label="Requirements",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "code", "spellcheck": "false", "wrap": "off"}),
        help_text="One package a line, such as xgboost>=2. Resolved and installed once; the run waits for it.",
    )
    minutes = forms.CharField(
        label="Time limit",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
        help_text="The script is stopped after it. At most 10,080 (a week).",
    )
    retries = forms.CharField(
        label="Tries again",
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
        help_text=(
            "How often the script is run again when it fails, 0 to 5, after 5, 30 and 120 seconds. What is lost with a "
            "worker is repeated anyway."
        ),
    )
    experiment = forms.CharField(
        label="Experiment",
        max_length=256,
        widget=forms.TextInput(attrs={"list": "experiments", "autocomplete": "off"}),
        help_text="Runs to be compared belong together. A new name makes a new experiment.",
    )
    name = forms.CharField(
        label="Name", required=False, max_length=63, help_text="Left empty, the run gets one."
    )
    description = forms.CharField(
        label="Description", required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
