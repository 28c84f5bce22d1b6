"""The groups *Operators*, *Viewers* and *Accountants*, created by ``migrate``.

A group that exists is left as it is, so an administrator may change its permissions. One that was
renamed or deleted is created again by the next ``migrate``.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, Permission

# Whoever looks after the site sees these.
_RECORDS = (
    "missions.mission",
    "missions.missionitem",
    "missions.attempt",
    "missions.output",
    "missions.itemevent",
    "templates_app.missiontemplate",
    "media.mediafile",
    "providers.provideraccount",
    "providers.providermodel",
    "workers.workercluster",
    "notifications.channel",
    "notifications.delivery",
)
_MONEY = ("missions.mission", "missions.hourlyspend", "missions.removedspending", "billing.spendinglimit")

# The permissions of each group: the models, by what its members may do.
GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "Operators": {
        "view": (*_RECORDS, *_MONEY, "auth.user", "accounts.apitoken", "audit.auditentry"),
        "add": ("providers.provideraccount", "providers.providermodel"),
        "change": (
            "missions.mission",
            "templates_app.missiontemplate",
            "providers.provideraccount",
            "providers.providermodel",
            "accounts.apitoken",
            "notifications.channel",
            "notifications.delivery",
        ),
        "delete": ("missions.mission", "templates_app.missiontemplate", "media.mediafile", "providers.providermodel"),
    },
    "Viewers": {"view": _RECORDS},
    "Accountants": {
        "view": (*_MONEY, "auth.user", "audit.auditentry"),
        "add": ("billing.spendinglimit",),
        "change": ("billing.spendinglimit",),
        "delete": ("billing.spendinglimit",),
    },
}


def create_groups(using: str = "default", **_: Any) -> None:
    """Create the groups that are missing, in the database ``using``.

    Call it after ``migrate`` has created the permissions.
    """
    for name, models_by_action in GROUPS.items():
        group, is_new = Group.objects.using(using).get_or_create(name=name)
        if not is_new:
            continue
        # "missions.mission" and "view" make "missions.view_mission".
        names = {model.replace(".", f".{action}_") for action, models in models_by_action.items() for model in models}
        rows = Permission.objects.using(using).select_related("content_type")
        group.permissions.set(row for row in rows if f"{row.content_type.app_label}.{row.codename}" in names)
