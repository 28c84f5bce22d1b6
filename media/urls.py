"""Addresses of the media library and of the files themselves."""

from django.urls import path, re_path

from media import file_views, web

app_name = "media"

urlpatterns = [
    path("media", web.show_library, name="library"),
    path("media/upload", web.upload, name="upload"),
    path("media/use", web.use_selection, name="use"),
    path("media/delete", web.delete_selection, name="delete-selection"),
    path("media/images/<int:media_id>", web.show_file, name="image"),
    path("media/images/<int:media_id>/delete", web.delete, name="delete"),
    re_path(r"^media/(?P<key>[A-Za-z0-9_-]{1,40})$", file_views.file, name="file"),
    re_path(r"^media/(?P<key>[A-Za-z0-9_-]{1,40})/preview$", file_views.preview, name="preview"),
]
