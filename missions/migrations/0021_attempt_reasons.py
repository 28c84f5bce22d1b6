from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("missions", "0020_event_text")]
    operations = [
        migrations.AddField(
            model_name="attempt",
            name="error_reason",
            field=models.CharField(blank=True, editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="attempt",
            name="error_params",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
