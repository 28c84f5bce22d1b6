import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('media', '0003_plural_names'),
        ('missions', '0015_moved_models'),
    ]

    operations = [
        # The table exists: it was made by the app missions, and the last release writes to it.
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.CreateModel(
                name='MediaUse',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('media', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.RESTRICT, related_name='uses', to='media.mediafile')),
                    ('mission', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='media', to='missions.mission')),
                ],
                options={
                    'verbose_name': 'use of a media file',
                    'verbose_name_plural': 'uses of media files',
                    'db_table': 'missions_missionmedia',
                    'constraints': [models.UniqueConstraint(fields=('media', 'mission'), name='media_once_per_mission')],
                },
            ),
        ]),
    ]
