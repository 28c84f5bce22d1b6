from django.db import migrations


def reindex(apps, schema_editor):
    """Have workers write the marks of missions into the index of the search, as reindex_search."""
    apps.get_model("missions", "Mission").objects.update(unindexed_first=0, unindexed_last=2**30)


class Migration(migrations.Migration):

    dependencies = [
        ("missions", "0042_item_tags"),
    ]

    operations = [migrations.RunPython(reindex, migrations.RunPython.noop)]
