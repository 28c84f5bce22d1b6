from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0015_moved_models'),
        ('media', '0004_media_uses'),
    ]

    operations = [
        # The model moved to the app media, which keeps its table.
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.DeleteModel(
                name='MissionMedia',
            ),
        ]),
    ]
