"""Addresses of this app."""

from django.urls import path

from missions import provider_webhooks
from missions.views import new_mission

app_name = "missions"

urlpatterns = [
    path("missions/new", new_mission.new_mission, name="new"),
    path("missions/new/discard", new_mission.discard_draft, name="discard-draft"),
    path("missions/new/library", new_mission.library, name="new-library"),
    path("missions/new/sample", new_mission.sample, name="new-sample"),
    path("missions/<int:mission_id>/duplicate", new_mission.duplicate, name="duplicate"),
    path("hooks/<str:provider>/<str:token>", provider_webhooks.receive, name="provider-webhook"),
]
