"""Missions that were made before 0004 name files, too: without these rows a file could be deleted that an item still needs."""

import re

from django.db import migrations
from django.db.models import TextField
from django.db.models.functions import Cast

NAMED = re.compile(r'"media:([0-9]{1,18})"')


def note_files(apps, schema_editor):
    Mission, MissionItem = apps.get_model("missions", "Mission"), apps.get_model("missions", "MissionItem")
    MissionMedia, MediaFile = apps.get_model("missions", "MissionMedia"), apps.get_model("media", "MediaFile")
    there = set(MediaFile.objects.values_list("pk", flat=True))
    uses = set()
    for rows, mission in ((Mission.objects, "pk"), (MissionItem.objects, "mission")):
        named = rows.order_by().annotate(text=Cast("params", TextField())).filter(text__contains='"media:')
        for mission_id, text in named.values_list(mission, "text").iterator():
            uses |= {(mission_id, int(media_id)) for media_id in NAMED.findall(text) if int(media_id) in there}
    rows = [MissionMedia(mission_id=mission_id, media_id=media_id) for mission_id, media_id in sorted(uses)]
    MissionMedia.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)


class Migration(migrations.Migration):

    dependencies = [
        ("missions", "0010_plural_names"),
    ]

    operations = [
        migrations.RunPython(note_files, migrations.RunPython.noop),
    ]
