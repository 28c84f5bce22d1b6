from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("missions", "0036_search_index"),
    ]

    operations = [
        migrations.AddField(
            model_name="mission",
            name="unindexed_first",
            field=models.PositiveIntegerField(db_default=0, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="mission",
            name="unindexed_last",
            field=models.PositiveIntegerField(db_default=1073741824, editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="mission",
            index=models.Index(
                condition=models.Q(("unindexed_last__isnull", False)), fields=["-id"], name="mission_unindexed"
            ),
        ),
    ]
