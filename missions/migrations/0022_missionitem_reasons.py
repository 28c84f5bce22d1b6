from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("missions", "0021_attempt_reasons")]
    operations = [
        migrations.AddField(
            model_name="missionitem",
            name="error_reason",
            field=models.CharField(blank=True, editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="missionitem",
            name="error_params",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
