"""The home of a studio: its folders, its secrets, and the records by which processes find one another.

HOME/
  version            the data layout's number, raised by migrations
  secrets/           0700; files 0600: passwords.json, services.json, secret-key
  run/               endpoints.json, processes.json, keeper.lock
  logs/              one file per process, rotated
  objects/ staging/ attempts/ backups/
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.errors import ConfigError

SOCKET_PATH_LIMIT = 107  # bytes of sun_path on Linux, without its final NUL
SOCKET_FOLDER_PREFIX = "atelier-"
LAYOUT_VERSION = 1


@dataclass(frozen=True)
class Home:
    """Paths below one ATELIER_HOME. Making the object touches nothing on disk."""

    path: Path

    @property
    def secrets(self) -> Path:
        return self.path / "secrets"

    @property
    def run(self) -> Path:
        return self.path / "run"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def staging(self) -> Path:
        return self.path / "staging"

    @property
    def attempts(self) -> Path:
        return self.path / "attempts"

    @property
    def backups(self) -> Path:
        return self.path / "backups"

    @property
    def endpoints(self) -> Path:
        return self.run / "endpoints.json"

    @property
    def processes(self) -> Path:
        return self.run / "processes.json"

    @property
    def lock(self) -> Path:
        return self.run / "keeper.lock"

    @property
    def version(self) -> Path:
        return self.path / "version"

    @property
    def admin_password(self) -> Path:
        return self.path / "admin-password"

    @property
    def secret_key(self) -> Path:
        return self.secrets / "secret-key"

    @property
    def passwords(self) -> Path:
        return self.secrets / "passwords.json"

    @property
    def services(self) -> Path:
        return self.secrets / "services.json"

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that tell homes apart, from the resolved path."""
        return hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:16]

    def make(self) -> None:
        """Create the folders. Private ones get mode 0700.

        Raises ConfigError when HOME is a file or cannot be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for private in (self.secrets, self.run, self.logs, self.staging, self.attempts, self.backups):
                private.mkdir(mode=0o700, exist_ok=True)
                private.chmod(0o700)
            self.objects.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError as error:
            raise ConfigError(
                f"ATELIER_HOME is {self.path}, but {error.filename} is a file and not a folder: "
                "choose another folder."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"ATELIER_HOME is {self.path}, which cannot be written ({error.strerror}): "
                "choose a folder that belongs to you."
            ) from error

    def passwords_kept(self) -> dict[str, str]:
        """The passwords of the embedded servers, made at random on first use and then kept."""
        known = read_json(self.passwords)
        wanted = ("superuser", "atelier", "mlflow", "optuna", "valkey")
        missing = [name for name in wanted if name not in known]
        if missing:
            known.update({name: secrets.token_urlsafe(32) for name in missing})
            write_private(self.passwords, json.dumps(known))
        return {name: str(known[name]) for name in wanted}

    def secret_key_kept(self) -> str:
        """Django's signing key, made at random on first use and then kept."""
        kept = read_text(self.secret_key)
        if not kept:
            kept = secrets.token_urlsafe(48)
            write_private(self.secret_key, kept)
        return kept


def read_text(path: Path) -> str:
    """The stripped text of a small file, or "" when it is absent."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a small file, or {} when it is absent.

    Raises ConfigError when the file cannot be read or does not hold an object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}): run the command as the user who started the studio."
        ) from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path} is damaged ({error}): stop the studio, delete it, start again.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path} is damaged (not an object): stop the studio, delete it, start again.")
    return value


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically; the new one has mode 0600 from its first byte."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_record(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON record atomically."""
    write_private(path, json.dumps(value, indent=1, sort_keys=True))


def make_socket_folder(owner: tuple[int, int] | None = None) -> Path:
    """A fresh folder of mode 0700 with a path short enough for unix sockets.

    `owner` is (uid, gid) of the service account that makes sockets in it.
    """
    base = Path("/tmp")  # noqa: S108  (the short path is the point; mkdtemp makes it private)
    if not (base.is_dir() and os.access(base, os.W_OK)):
        base = Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX, dir=base))
    if len(os.fsencode(folder)) + 40 > SOCKET_PATH_LIMIT:
        folder.rmdir()
        raise ConfigError(
            f"The path of the folder {base} is too long for sockets: set TMPDIR to a short one."
        )
    if owner is not None:
        os.chown(folder, *owner)
    return folder


def remove_socket_folder(folder: Path) -> None:
    """Remove a folder made by make_socket_folder with what processes made in it.

    Anything that does not look like one is left alone.
    """
    try:
        state = folder.lstat()
    except FileNotFoundError:
        return
    ours = folder.name.startswith(SOCKET_FOLDER_PREFIX) and stat.S_IMODE(state.st_mode) == 0o700
    if ours and stat.S_ISDIR(state.st_mode):
        shutil.rmtree(folder, ignore_errors=True)  # what stays harms nobody: each start makes a fresh one
