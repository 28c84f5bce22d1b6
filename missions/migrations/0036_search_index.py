import django.db.models.deletion
from django.db import migrations, models

from core.db.words import AddWordIndex, WordsField


class Migration(migrations.Migration):

    dependencies = [
        ("missions", "0035_item_version_unique"),
    ]

    operations = [
        migrations.CreateModel(
            name="SearchState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started_at", models.DateTimeField()),
                ("indexed_to", models.DateTimeField()),
                ("checked_at", models.DateTimeField(help_text="When late completions were last looked for.")),
                ("leased_until", models.DateTimeField(help_text="Until then one worker writes the index.")),
                ("highest_place", models.BigIntegerField(default=1099511627776)),
                ("lowest_place", models.BigIntegerField(default=1099511627777)),
            ],
        ),
        migrations.CreateModel(
            name="SearchDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("lowest", models.BigIntegerField()),
                ("highest", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="SearchWord",
            fields=[
                ("word", models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("count", models.PositiveBigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="PromptEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("part", models.PositiveIntegerField()),
                ("words", WordsField()),
                (
                    "mission",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="missions.mission",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("mission", "part"), name="prompt_entry_once_per_part")
                ],
            },
        ),
        migrations.CreateModel(
            name="ResultEntry",
            fields=[
                ("place", models.BigIntegerField(primary_key=True, serialize=False)),
                ("completed_at", models.DateTimeField()),
                ("words", WordsField()),
                (
                    "item",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="entry",
                        to="missions.missionitem",
                    ),
                ),
            ],
        ),
        AddWordIndex("missions.PromptEntry"),
        AddWordIndex("missions.ResultEntry"),
    ]
