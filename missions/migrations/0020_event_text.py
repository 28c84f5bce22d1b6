from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("missions", "0019_attempt_progress")]

    operations = [
        migrations.AddField(model_name="itemevent", name="text", field=models.TextField(blank=True, db_default="", default="")),
    ]
