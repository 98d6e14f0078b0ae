"""The training contract: the folders, files, variables and arguments that a script is given.

Two sets of names for the same things: Atelier's own, and those of SageMaker's script mode, so that existing
scripts run unchanged. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A file in which a script says how far it is, as one line of JSON: {"step": 3, "total": 10, "message": "…"}.
PROGRESS_NAME = "progress.json"
FAILURE_NAME = "failure"
CHECKPOINTS_NAME = "checkpoints"
HOST = "algo-1"


@dataclass(frozen=True)
class Folders:
    """Where everything of a script lies, below the attempt's working folder."""

    root: Path

    @property
    def code(self) -> Path:
        """The script, or all files of an archive or a repository."""
        return self.root / "code"

    @property
    def checkpoints(self) -> Path:
        """What is kept while the script runs, and is there again in its next attempt."""
        return self.root / CHECKPOINTS_NAME

    @property
    def config(self) -> Path:
        """The files that describe parameters and channels."""
        return self.root / "input" / "config"

    @property
    def data(self) -> Path:
        """A folder for each channel."""
        return self.root / "input" / "data"

    @property
    def model(self) -> Path:
        """What is kept as the model."""
        return self.root / "model"

    @property
    def output(self) -> Path:
        """Holds the folder of outputs and the file `failure`."""
        return self.root / "output"

    @property
    def outputs(self) -> Path:
        """What becomes artifacts of the run."""
        return self.output / "data"

    @property
    def intermediate(self) -> Path:
        """Scratch space with a name in SageMaker's contract; nothing in it is kept."""
        return self.output / "intermediate"

    @property
    def progress(self) -> Path:
        """The file of the script's progress."""
        return self.root / PROGRESS_NAME

    @property
    def failure(self) -> Path:
        """What a script may write about its failure, in its own words."""
        return self.output / FAILURE_NAME

    def make(self) -> None:
        """Make them all."""
        for folder in (
            self.code,
            self.config,
            self.data,
            self.model,
            self.outputs,
            self.intermediate,
            self.checkpoints,
        ):
            folder.mkdir(parents=True, exist_ok=True)

    def channel(self, name: str) -> Path:
        """The folder of a channel."""
        return self.data / name


def variable_part(name: str) -> str:
    """The name of a parameter or channel inside a variable: SM_HP_<this>."""
    return re.sub(r"[^A-Z0-9_]", "_", name.upper())


def arguments(parameters: Mapping[str, object]) -> list[str]:
    """The parameters as the command line of the script: --name value, sorted by name, of one letter -n."""
    found: list[str] = []
    for name in sorted(parameters):
        found += [f"--{name}" if len(name) > 1 else f"-{name}", str(parameters[name])]
    return found


def variables(
    folders: Folders,
    *,
    script: str,
    parameters: Mapping[str, object],
    channels: Mapping[str, str],
    run_id: str,
    project: str,
    processors: int,
) -> dict[str, str]:
    """Both sets of variables. channels: name -> format."""
    names = sorted(channels)
    places = {variable_part(name): str(folders.channel(name)) for name in names}
    values = {variable_part(name): str(value) for name, value in parameters.items()}
    own = {
        "ATELIER_RUN_ID": run_id,
        "ATELIER_PROJECT": project,
        "ATELIER_MODEL_DIR": str(folders.model),
        "ATELIER_OUTPUT_DIR": str(folders.outputs),
        "ATELIER_CHECKPOINT_DIR": str(folders.checkpoints),
        "ATELIER_PROGRESS": str(folders.progress),
        "ATELIER_PARAMS": json.dumps(dict(parameters)),
        "ATELIER_CHANNELS": json.dumps(names),
    }
    module = script.removesuffix(".py").replace("/", ".")
    configuration = input_configuration(channels)
    resources = resource_configuration()
    known = {
        "SM_MODEL_DIR": str(folders.model),
        "SM_OUTPUT_DATA_DIR": str(folders.outputs),
        "SM_OUTPUT_DIR": str(folders.output),
        "SM_OUTPUT_INTERMEDIATE_DIR": str(folders.intermediate),
        "SM_CHECKPOINT_DIR": str(folders.checkpoints),
        "SM_INPUT_DIR": str(folders.data.parent),
        "SM_INPUT_CONFIG_DIR": str(folders.config),
        "SM_MODULE_DIR": str(folders.code),
        "SM_MODULE_NAME": module,
        "SM_USER_ENTRY_POINT": script,
        "SM_CURRENT_HOST": HOST,
        "SM_CURRENT_INSTANCE_TYPE": "local",
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
        "SM_FRAMEWORK_MODULE": "",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_NUM_CPUS": str(processors),
        "SM_NUM_GPUS": "0",
        "SM_NUM_NEURONS": "0",
        "SM_LOG_LEVEL": "20",
        "TRAINING_JOB_NAME": run_id,
        "TRAINING_JOB_ARN": "",
    }
    as_json = {
        "SM_CHANNELS": names,
        "SM_HPS": dict(parameters),
        "SM_USER_ARGS": arguments(parameters),
        "SM_HOSTS": [HOST],
        "SM_INPUT_DATA_CONFIG": configuration,
        "SM_RESOURCE_CONFIG": resources,
        "SM_INSTANCE_GROUPS": ["homogeneousCluster"],
        "SM_INSTANCE_GROUPS_DICT": {
            "homogeneousCluster": {
                "instance_group_name": "homogeneousCluster", "instance_type": "local", "hosts": [HOST],
            }
        },
        "SM_FRAMEWORK_PARAMS": {},
        "SM_TRAINING_ENV": {
            "additional_framework_parameters": {},
            "channel_input_dirs": {name: str(folders.channel(name)) for name in names},
            "current_host": HOST,
            "framework_module": "",
            "hosts": [HOST],
            "hyperparameters": dict(parameters),
            "input_config_dir": str(folders.config),
            "input_data_config": configuration,
            "input_dir": str(folders.data.parent),
            "is_master": True,
            "job_name": run_id,
            "log_level": 20,
            "master_hostname": HOST,
            "model_dir": str(folders.model),
            "module_dir": str(folders.code),
            "module_name": module,
            "network_interface_name": "lo",
            "num_cpus": processors,
            "num_gpus": 0,
            "num_neurons": 0,
            "output_data_dir": str(folders.outputs),
            "output_dir": str(folders.output),
            "output_intermediate_dir": str(folders.intermediate),
            "resource_config": resources,
            "user_entry_point": script,
        },
    }  # fmt: skip
    theirs = {**known, **{name: json.dumps(value) for name, value in as_json.items()}}
    return {
        **own,
        **{f"ATELIER_PARAM_{part}": value for part, value in values.items()},
        **{f"ATELIER_CHANNEL_{part}": place for part, place in places.items()},
        **theirs,
        **{f"SM_HP_{part}": value for part, value in values.items()},
        **{f"SM_CHANNEL_{part}": place for part, place in places.items()},
    }


def input_configuration(channels: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What SageMaker's contract tells of each channel. channels: name -> format."""
    kinds = {"csv": "text/csv", "parquet": "application/x-parquet", "files": "application/octet-stream"}
    return {
        name: {
            "TrainingInputMode": "File",
            "ContentType": kinds[kind],
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
        for name, kind in sorted(channels.items())
    }


def resource_configuration() -> dict[str, Any]:
    """One machine, which is the master."""
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "local", "hosts": [HOST]}
    return {
        "current_host": HOST,
        "current_instance_type": "local",
        "current_group_name": "homogeneousCluster",
        "hosts": [HOST],
        "instance_groups": [group],
        "network_interface_name": "lo",
    }


def write_config(folders: Folders, parameters: Mapping[str, object], channels: Mapping[str, str]) -> None:
    """The files of SageMaker's contract in input/config; parameters are texts there."""
    files = {
        "hyperparameters.json": {name: str(value) for name, value in parameters.items()},
        "inputdataconfig.json": input_configuration(channels),
        "resourceconfig.json": resource_configuration(),
    }
    for name, content in files.items():
        (folders.config / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_last_line(path: Path, limit: int = 64 * 1024) -> str:
    """The last line of a file that a script may have made anything of: no link is followed, no pipe waited for.
    Empty when there is nothing to read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return ""
    try:
        with os.fdopen(descriptor, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            lines = file.read(limit).decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def read_text(path: Path, limit: int) -> str:
    """The beginning of such a file as text; empty when there is nothing to read."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            return file.read(limit).decode("utf-8", "replace").replace("\x00", "").strip()
    except OSError:
        return ""
