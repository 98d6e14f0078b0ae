from django.db import migrations, models


class Migration(migrations.Migration):
    """The narrow index that the search over everything reads instead of the jobs' wide rows."""

    dependencies = [("jobs", "0004_schedules")]

    operations = [
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                fields=["project", "-created_at", "-id"], include=("title",), name="jobs_to_search"
            ),
        ),
    ]
