from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0009_log_pieces'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='jobattempt',
            index=models.Index(fields=['worker', '-started_at'], name='jobs_attempt_by_worker'),
        ),
    ]
