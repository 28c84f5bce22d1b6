import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from core.db.moved_models import MoveContentTypes


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('missions', '0014_tally_removal_count'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]

    operations = [
        # The tables exist; see the migrations of the app that the models come from.
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.CreateModel(
                name='ProviderAccount',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('name', models.CharField(max_length=100, unique=True, verbose_name='name')),
                    ('provider', models.CharField(default='runninghub', max_length=32, verbose_name='provider')),
                    ('base_url', models.URLField(blank=True, verbose_name='address')),
                    ('sealed_key', models.TextField(blank=True, editable=False)),
                    ('concurrency', models.PositiveIntegerField(blank=True, help_text='Tasks in flight at once. Empty: RUNNINGHUB_CONCURRENCY.', null=True, verbose_name='tasks at once')),
                    ('is_enabled', models.BooleanField(default=True, help_text='Off: nothing more is sent, at once. What the provider has accepted is watched to its end.', verbose_name='enabled')),
                    ('is_draining', models.BooleanField(default=False, help_text='Takes no new items; those that it has taken up are sent, and watched to their end.', verbose_name='drain')),
                    ('paused_at', models.DateTimeField(blank=True, null=True, verbose_name='paused since')),
                    ('pause_reason', models.TextField(blank=True, verbose_name='reason for the pause')),
                    ('key_fingerprint', models.CharField(blank=True, editable=False, max_length=16)),
                    ('remote_concurrency', models.PositiveIntegerField(blank=True, editable=False, null=True, verbose_name="the provider's limit")),
                    ('checked_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last asked')),
                    ('soft_limit', models.PositiveIntegerField(blank=True, editable=False, null=True)),
                    ('soft_limit_at', models.DateTimeField(blank=True, editable=False, null=True)),
                    ('tick_number', models.PositiveBigIntegerField(default=0, editable=False)),
                    ('ticked_at', models.DateTimeField(blank=True, editable=False, null=True)),
                    ('reaped_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ],
                options={
                    'verbose_name': 'provider account',
                    'verbose_name_plural': 'provider accounts',
                    'db_table': 'missions_provideraccount',
                },
            ),
            migrations.CreateModel(
                name='ProviderUpload',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('sha256', models.CharField(max_length=64)),
                    ('url', models.TextField()),
                    ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                    ('expires_at', models.DateTimeField()),
                    ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uploads', to='providers.provideraccount')),
                ],
                options={
                    'verbose_name': 'provider upload',
                    'verbose_name_plural': 'provider uploads',
                    'db_table': 'missions_providerupload',
                    'constraints': [models.UniqueConstraint(fields=('account', 'sha256'), name='upload_unique_per_account')],
                },
            ),
        ]),
        MoveContentTypes(models=['provideraccount', 'providerupload'], source='missions', target='providers'),
    ]
