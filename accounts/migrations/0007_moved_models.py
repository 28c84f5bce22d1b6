from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_plural_names'),
        ('core', '0001_initial'),
        ('billing', '0001_initial'),
    ]

    operations = [
        # The models moved to other apps and keep their tables.
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.RemoveField(
                model_name='spendinglimit',
                name='user',
            ),
            migrations.DeleteModel(
                name='IdempotencyKey',
            ),
            migrations.DeleteModel(
                name='SpendingLimit',
            ),
        ]),
    ]
