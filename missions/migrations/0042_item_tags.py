from django.conf import settings
from django.db import migrations, models
from django.db.models import CASCADE, ForeignKey

UNCHECKED = {"db_constraint": False, "db_index": False, "on_delete": CASCADE}


class Migration(migrations.Migration):
    dependencies = [("missions", "0041_mission_group"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="ItemTag",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=40)),
                ("item", ForeignKey("missions.missionitem", related_name="tags", **UNCHECKED)),
                ("owner", ForeignKey(settings.AUTH_USER_MODEL, related_name="+", **UNCHECKED)),
            ],
            options={
                "verbose_name": "tag of an item",
                "verbose_name_plural": "tags of items",
                "ordering": ["item_id", "name"],
                "indexes": [models.Index(fields=["owner", "name"], name="tag_of_owner")],
                "constraints": [models.UniqueConstraint(fields=("item", "name"), name="tag_once_per_item")],
            },
        ),
    ]
