"""What the page of an environment shows; the page and its live part share one context."""

from __future__ import annotations

from dataclasses import dataclass, field

from apps.environments.models import Environment, EnvironmentFolder
from apps.environments.queries import UseRow, folders_of, uses_of

ADVICE = {
    "environment.unresolvable": "Change the versions in a new environment; nothing was installed.",
    "environment.no_wheel": "Name a version that has wheels, or leave it open. Packages that have to be compiled are "
    "not taken, since compiling runs their code.",
    "environment.index_down": "Build it again when the package index answers. Which one is asked, the administrator "
    "decides.",
    "environment.hash": "The index has other files than the requirements allow.",
    "environment.too_large": "Leave out what the script does not need.",
}


@dataclass(frozen=True)
class EnvironmentPage:
    """Everything on the page of an environment."""

    environment: Environment
    uses: list[UseRow] = field(default_factory=list)
    folders: list[EnvironmentFolder] = field(default_factory=list)

    @classmethod
    def build(cls, environment: Environment) -> EnvironmentPage:
        """From the database."""
        return cls(environment, uses_of(environment), folders_of(environment))

    @property
    def advice(self) -> str:
        """What to do about a failed build."""
        return ADVICE.get(self.environment.error_code, "The log below tells more.")

    @property
    def snippet(self) -> str:
        """How a run names it."""
        return f'spec={{"environment": "{self.environment.name}", "entry_point": "train.py"}}'
