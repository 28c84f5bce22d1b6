"""All addresses."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from missions.admin import catalogue
from runninghub_batch import views
from runninghub_batch.api import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(url="missions"), name="home"),
    path("accounts/", include("accounts.urls")),
    path("components", views.components, name="components"),
    path("favicon.ico", RedirectView.as_view(url=static("app/favicon.svg"))),  # asked for by pages that name none
    path("admin/control-room/", include("missions.admin.control_room")),
    path("admin/models/", admin.site.admin_view(catalogue.show_models), name="admin-models"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("", include("missions.urls_media")),
    path("", include("missions.urls_templates")),
    path("", include("missions.urls")),
]

handler404 = "runninghub_batch.views.not_found"
handler500 = "runninghub_batch.views.server_error"
