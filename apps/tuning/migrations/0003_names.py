from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tuning", "0002_counted_from")]

    operations = [migrations.AlterModelOptions(name="study", options={"ordering": ["-created_at", "-id"], "verbose_name_plural": "studies"})]
