from django.db import migrations, models


class Migration(migrations.Migration):
    """The narrow index that the search over everything reads instead of the runs' wide rows."""

    dependencies = [("experiments", "0003_own_scripts")]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("deleted_at__isnull", True)),
                fields=["project", "-created_at", "-id"],
                include=("name", "algorithm"),
                name="runs_to_search",
            ),
        ),
    ]
