"""The administration of missions, one module per subject. Django loads this package."""

from django.apps import apps
from django.contrib import admin

from mission_pages.admin import items, missions, records

__all__ = ["items", "missions", "records"]

# django-q2's own pages would run any Python function whose name is typed in, and send messages
# without our rows.
for model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
