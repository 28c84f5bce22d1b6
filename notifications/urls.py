"""Addresses of this app."""

from django.urls import path

from notifications import web

app_name = "notifications"

urlpatterns = [
    path("accounts/notifications", web.show_list, name="list"),
    path("accounts/notifications/new", web.create, name="new"),
    path("accounts/notifications/<int:channel_id>", web.show_channel, name="channel"),
    path("accounts/notifications/<int:channel_id>/test", web.test, name="test"),
    path("accounts/notifications/<int:channel_id>/switch", web.switch, name="switch"),
    path("accounts/notifications/<int:channel_id>/secret", web.rotate_secret, name="secret"),
    path("accounts/notifications/<int:channel_id>/delete", web.delete, name="delete"),
    path("accounts/notifications/<int:channel_id>/deliveries/<int:delivery_id>", web.show_delivery, name="delivery"),
]
