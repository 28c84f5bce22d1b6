from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('providers', '0004_provider_models'),
    ]

    operations = [
        migrations.AlterField(
            model_name='provideraccount',
            name='concurrency',
            field=models.PositiveIntegerField(blank=True, help_text="Tasks in flight at once. Empty: the provider's setting, such as RUNNINGHUB_CONCURRENCY.", null=True, verbose_name='tasks at once'),
        ),
    ]
