from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0013_removed_spending'),
    ]

    operations = [
        migrations.AddField(
            model_name='tally',
            name='removal_count',
            field=models.PositiveBigIntegerField(db_default=0, help_text='How often a part of a mission was removed: attempts that were read before are not what they were.'),
        ),
    ]
