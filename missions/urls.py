"""Addresses of this app."""

from django.urls import path

from missions import provider_webhooks

app_name = "missions"

urlpatterns = [
    path("hooks/<str:provider>/<str:token>", provider_webhooks.receive, name="provider-webhook"),
]
