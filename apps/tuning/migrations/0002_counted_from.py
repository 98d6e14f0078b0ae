from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tuning', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='study',
            name='counted_from',
            field=models.IntegerField(default=0),
        ),
    ]
