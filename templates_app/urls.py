"""Addresses of the templates' pages."""

from django.urls import path

from templates_app import web

app_name = "templates"

urlpatterns = [
    path("templates", web.show_list, name="list"),
    path("templates/new", web.create, name="new"),
    path("templates/<int:template_id>", web.edit, name="edit"),
    path("templates/<int:template_id>/delete", web.delete, name="delete"),
]
