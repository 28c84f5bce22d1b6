"""All URLs."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from providers import catalog_admin
from runninghub_batch import guides, views
from runninghub_batch.api import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(url="missions"), name="home"),
    path("", include("notifications.urls")),
    path("accounts/", include("accounts.urls")),
    path("help", guides.show_help, name="help"),
    path("help/<slug:page>", guides.show_help, name="help"),
    path("help/images/<str:name>", guides.show_image, name="help-image"),
    path("phone", guides.show_phone, name="phone"),
    path("manifest.webmanifest", guides.show_manifest, name="manifest"),
    path("components", views.components, name="components"),
    path(
        "favicon.ico", RedirectView.as_view(url=static("app/favicon.svg"))
    ),  # browsers request it for pages without an icon
    path("admin/control-room/", include("operations.control_room")),
    path("admin/models/", admin.site.admin_view(catalog_admin.show_models), name="admin-models"),
    # The former URLs of models that moved to other apps.
    re_path(
        r"^admin/missions/(?P<rest>(?:provideraccount|providerupload)/.*)$",
        RedirectView.as_view(url="/admin/providers/%(rest)s", permanent=True, query_string=True),
    ),
    re_path(
        r"^admin/missions/(?P<rest>workercluster/.*)$",
        RedirectView.as_view(url="/admin/workers/%(rest)s", permanent=True, query_string=True),
    ),
    re_path(
        r"^admin/accounts/(?P<rest>spendinglimit/.*)$",
        RedirectView.as_view(url="/admin/billing/%(rest)s", permanent=True, query_string=True),
    ),
    re_path(
        r"^admin/accounts/(?P<rest>idempotencykey/.*)$",
        RedirectView.as_view(url="/admin/core/%(rest)s", permanent=True, query_string=True),
    ),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("", include("operations.urls")),
    path("", include("media.urls")),
    path("", include("templates_app.urls")),
    path("", include("mission_pages.urls")),
    path("", include("sharing.urls")),
]

handler404 = "runninghub_batch.views.not_found"
handler500 = "runninghub_batch.views.server_error"
