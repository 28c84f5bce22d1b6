from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0027_unreported_count'),
    ]

    operations = [
        # The columns stay as they are: a default in the model is none in the database.
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.AlterField(
                model_name='attempt',
                name='currency',
                field=models.CharField(blank=True, help_text='Empty: the model is free.', max_length=8),
            ),
            migrations.AlterField(
                model_name='mission',
                name='currency',
                field=models.CharField(blank=True, help_text='Empty: the model is free.', max_length=8),
            ),
            migrations.AlterField(
                model_name='mission',
                name='provider',
                field=models.CharField(max_length=32),
            ),
        ]),
    ]
