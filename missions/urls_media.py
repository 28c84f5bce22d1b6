"""Addresses of the media library and of the files themselves."""

from django.urls import include, path

from media.urls import urlpatterns as files
from missions.views import media

app_name = "media"

urlpatterns = [
    path("media", media.show_library, name="library"),
    path("media/upload", media.upload, name="upload"),
    path("media/use", media.use_selection, name="use"),
    path("media/delete", media.delete_selection, name="delete-selection"),
    path("media/images/<int:media_id>", media.show_file, name="image"),
    path("media/images/<int:media_id>/delete", media.delete, name="delete"),
    path("media/", include(files)),
]
