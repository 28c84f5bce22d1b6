from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("missions", "0024_itemevent_reasons")]
    operations = [
        migrations.AddField(
            model_name="mission",
            name="pause_reason_code",
            field=models.CharField(blank=True, editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="mission",
            name="pause_reason_params",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
