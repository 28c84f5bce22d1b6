from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0031_odd_answers'),
    ]

    operations = [
        migrations.AddField(
            model_name='mission',
            name='file_name_pattern',
            field=models.CharField(blank=True, db_default='', default='', help_text='The pattern of the names of its result files. Empty: an older release created it.', max_length=200),
        ),
    ]
