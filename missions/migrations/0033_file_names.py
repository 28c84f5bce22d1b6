from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0032_file_name_pattern'),
    ]

    operations = [
        migrations.AddField(
            model_name='missionitem',
            name='file_name',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='The name of its result files without ending. Empty: made of its number and prompt.', max_length=240),
        ),
        migrations.AddField(
            model_name='missionitem',
            name='origin',
            field=models.JSONField(blank=True, editable=False, help_text='What else its row in the imported sheet had.', null=True),
        ),
    ]
