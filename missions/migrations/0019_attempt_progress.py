from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("missions", "0018_template_missions")]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="progress",
            field=models.FloatField(blank=True, help_text="From 0 to 1. Empty: not reported.", null=True),
        ),
    ]
