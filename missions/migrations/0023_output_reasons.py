from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("missions", "0022_missionitem_reasons")]
    operations = [
        migrations.AddField(
            model_name="output",
            name="error_reason",
            field=models.CharField(blank=True, editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="output",
            name="error_params",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
