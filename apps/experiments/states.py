"""The states of runs: those of their job, or what a stock client said in MLflow."""

from __future__ import annotations

from django.db import models

from apps.jobs.states import JobState

#: Why a training did not use a column that the run's list of columns does not name.
NOT_CHOSEN = "not chosen"


class RunSource(models.TextChoices):
    """Who made a run: the studio (it has a job, which decides its state), a client through MLflow, or a study,
    whose own run holds its trials together and has no job (its state is written by the study)."""

    ATELIER = "atelier", "Atelier"
    STUDY = "study", "Study"
    CLIENT = "client", "MLflow client"


class InputFormat(models.TextChoices):
    """How the rows of a channel lie in its folder: as the Parquet files they are, or as one CSV file."""

    PARQUET = "parquet", "Parquet"
    CSV = "csv", "CSV"


#: MLflow's five statuses in the words of the studio; used for runs of clients only.
FROM_MLFLOW = {
    "SCHEDULED": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "FINISHED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "KILLED": JobState.CANCELLED,
}
#: How the end of a job is told to MLflow. Its own words are fewer.
TO_MLFLOW = {
    JobState.SUCCEEDED: "FINISHED",
    JobState.FAILED: "FAILED",
    JobState.ERRORED: "FAILED",
    JobState.TIMED_OUT: "KILLED",
    JobState.CANCELLED: "KILLED",
}
