from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0005_results_in_sight'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='provideraccount',
            options={'verbose_name': 'provider account', 'verbose_name_plural': 'provider accounts'},
        ),
        migrations.AddField(
            model_name='provideraccount',
            name='is_draining',
            field=models.BooleanField(default=False, help_text='Takes no new items; those that it has taken up are sent, and watched to their end.', verbose_name='drain'),
        ),
        migrations.AddField(
            model_name='provideraccount',
            name='sealed_key',
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='base_url',
            field=models.URLField(blank=True, verbose_name='address'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='checked_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last asked'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='concurrency',
            field=models.PositiveIntegerField(blank=True, help_text='Tasks in flight at once. Empty: RUNNINGHUB_CONCURRENCY.', null=True, verbose_name='tasks at once'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='is_enabled',
            field=models.BooleanField(default=True, help_text='Off: nothing more is sent, at once. What the provider has accepted is watched to its end.', verbose_name='enabled'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='name',
            field=models.CharField(max_length=100, unique=True, verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='pause_reason',
            field=models.TextField(blank=True, verbose_name='reason for the pause'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='paused_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='paused since'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='provider',
            field=models.CharField(default='runninghub', max_length=32, verbose_name='provider'),
        ),
        migrations.AlterField(
            model_name='provideraccount',
            name='remote_concurrency',
            field=models.PositiveIntegerField(blank=True, editable=False, null=True, verbose_name="the provider's limit"),
        ),
    ]
