"""Addresses of the files.  The library around them is ``missions.urls_media``."""

from django.urls import re_path

from media import views

urlpatterns = [
    re_path(r"^(?P<key>[A-Za-z0-9_-]{1,40})$", views.file, name="file"),
    re_path(r"^(?P<key>[A-Za-z0-9_-]{1,40})/preview$", views.preview, name="preview"),
]
