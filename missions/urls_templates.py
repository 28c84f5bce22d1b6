"""Addresses of the templates' pages."""

from django.urls import path

from missions.views import templates

app_name = "templates"

urlpatterns = [
    path("templates", templates.show_list, name="list"),
    path("templates/new", templates.create, name="new"),
    path("templates/<int:template_id>", templates.edit, name="edit"),
    path("templates/<int:template_id>/delete", templates.delete, name="delete"),
]
