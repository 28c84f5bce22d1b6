import django.utils.timezone
import uuid
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
                name='WorkerCluster',
                fields=[
                    ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                    ('host', models.CharField(max_length=255)),
                    ('pid', models.PositiveIntegerField(help_text="The supervisor's process id.")),
                    ('pid_started_at', models.FloatField(help_text='When that process began, to tell it from a later one.')),
                    ('group_id', models.PositiveIntegerField(help_text='The process group of the workers.', null=True)),
                    ('worker_count', models.PositiveIntegerField(default=0, help_text='Worker processes alive.')),
                    ('restart_count', models.PositiveIntegerField(default=0)),
                    ('started_at', models.DateTimeField(default=django.utils.timezone.now)),
                    ('beat_at', models.DateTimeField(default=django.utils.timezone.now)),
                    ('stopped_at', models.DateTimeField(blank=True, null=True)),
                ],
                options={
                    'verbose_name': 'worker cluster',
                    'verbose_name_plural': 'worker clusters',
                    'db_table': 'missions_workercluster',
                    'ordering': ['-started_at'],
                },
            ),
        ]),
        MoveContentTypes(models=['workercluster'], source='missions', target='workers'),
    ]
