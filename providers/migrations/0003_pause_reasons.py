from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("providers", "0002_account_options")]
    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="pause_reason_code",
            field=models.CharField(blank=True, editable=False, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="pause_reason_params",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
