"""Migration operation for models that move from one app to another and keep their table."""

from __future__ import annotations

from typing import Any

from django.db import migrations


class MoveContentTypes(migrations.RunPython):
    """Give the content types of moved models their new app label.

    Permissions and admin log entries refer to content types, so they move along. The tables stay;
    the models are moved by state operations.
    """

    def __init__(self, *, models: list[str], source: str, target: str) -> None:
        def move(apps: Any, schema_editor: Any) -> None:
            ContentType = apps.get_model("contenttypes", "ContentType")
            rows = ContentType.objects.using(schema_editor.connection.alias)
            for model in models:
                if not rows.filter(app_label=target, model=model).exists():
                    rows.filter(app_label=source, model=model).update(app_label=target)

        super().__init__(move, migrations.RunPython.noop)
