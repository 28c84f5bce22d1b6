import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('missions', '0014_tally_removal_count'),
        ('providers', '0001_initial'),
        ('workers', '0001_initial'),
    ]

    operations = [
        # The models moved to other apps and keep their tables.
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.RemoveField(
                model_name='providerupload',
                name='account',
            ),
            migrations.AlterField(
                model_name='missionitem',
                name='account',
                field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='providers.provideraccount'),
            ),
            migrations.AlterField(
                model_name='attempt',
                name='account',
                field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='attempts', to='providers.provideraccount'),
            ),
            migrations.DeleteModel(
                name='WorkerCluster',
            ),
            migrations.DeleteModel(
                name='ProviderUpload',
            ),
            migrations.DeleteModel(
                name='ProviderAccount',
            ),
        ]),
    ]
