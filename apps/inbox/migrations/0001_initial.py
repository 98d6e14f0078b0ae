import django.db.models.deletion
import django.db.models.functions.datetime
import foundation.clock
import foundation.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0005_team_console"),
        ("jobs", "0004_schedules"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=foundation.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        default=foundation.clock.now,
                        editable=False,
                    ),
                ),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("to", models.CharField(max_length=254)),
                ("subject", models.CharField(max_length=200)),
                ("text", models.TextField(blank=True, default="")),
                ("key", models.CharField(max_length=120, unique=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("due", "Waits to be sent"),
                            ("handed", "Being handed over"),
                            ("sent", "Sent"),
                            ("unknown", "Perhaps sent"),
                            ("failed", "Not sent"),
                        ],
                        default="due",
                        max_length=8,
                    ),
                ),
                ("reason", models.TextField(blank=True, default="")),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("next_at", models.DateTimeField(default=foundation.clock.now)),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        help_text="Whose news it is.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="Notification",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=foundation.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("job_failed", "A job of mine failed"),
                            ("job_ended", "A long job of mine ended, or one I asked about"),
                            ("promotion_waits", "A promotion waits for an approval that I may give"),
                            ("promotion_decided", "A promotion of mine was decided"),
                            ("alert", "Drift in something I look after"),
                            ("study_ended", "A study of mine ended"),
                            ("pipeline_failed", "A pipeline run failed"),
                            ("schedule_disabled", "A schedule was switched off"),
                            ("deployment_failed", "A deployment failed"),
                            ("invitation_accepted", "Somebody joined by my invitation"),
                        ],
                        max_length=24,
                    ),
                ),
                ("sentence", models.CharField(max_length=400)),
                ("detail", models.CharField(blank=True, default="", max_length=400)),
                ("state", models.CharField(blank=True, default="", max_length=24)),
                ("url", models.CharField(max_length=300)),
                ("key", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField(default=foundation.clock.now, editable=False)),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                ("mail_due", models.BooleanField(default=False)),
                (
                    "message",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="notifications",
                        to="inbox.message",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.project",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notifications",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="Onboarding",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("compared_at", models.DateTimeField(blank=True, null=True)),
                ("dismissed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.project"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "onboarding",
            },
        ),
        migrations.CreateModel(
            name="Preference",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("job_failed", "A job of mine failed"),
                            ("job_ended", "A long job of mine ended, or one I asked about"),
                            ("promotion_waits", "A promotion waits for an approval that I may give"),
                            ("promotion_decided", "A promotion of mine was decided"),
                            ("alert", "Drift in something I look after"),
                            ("study_ended", "A study of mine ended"),
                            ("pipeline_failed", "A pipeline run failed"),
                            ("schedule_disabled", "A schedule was switched off"),
                            ("deployment_failed", "A deployment failed"),
                            ("invitation_accepted", "Somebody joined by my invitation"),
                        ],
                        max_length=24,
                    ),
                ),
                (
                    "channel",
                    models.CharField(
                        choices=[("email", "Inbox and e-mail"), ("inbox", "Inbox"), ("off", "Not at all")],
                        max_length=8,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Watch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField(default=foundation.clock.now, editable=False)),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="jobs.job"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "watches",
            },
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("state", "due")), fields=["next_at"], name="inbox_mail_due"
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["user", "-created_at"], name="inbox_mail_of_person"),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(fields=["user", "-created_at", "-id"], name="inbox_of_person"),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("read_at__isnull", True)), fields=["user"], name="inbox_unread"
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                condition=models.Q(("mail_due", True)), fields=["user", "created_at"], name="inbox_mail_waits"
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.UniqueConstraint(fields=("user", "key"), name="inbox_told_once"),
        ),
        migrations.AddConstraint(
            model_name="onboarding",
            constraint=models.UniqueConstraint(fields=("project", "user"), name="inbox_onboarding_once"),
        ),
        migrations.AddConstraint(
            model_name="preference",
            constraint=models.UniqueConstraint(fields=("user", "kind"), name="inbox_preference_once"),
        ),
        migrations.AddConstraint(
            model_name="watch",
            constraint=models.UniqueConstraint(fields=("job", "user"), name="inbox_watch_once"),
        ),
    ]
