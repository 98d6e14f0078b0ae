from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("experiments", "0006_channel_header"),
        ("jobs", "0007_engine"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                fields=["created_at"], condition=models.Q(("rules__open", True)), name="runs_with_rules"
            ),
        ),
    ]
