"""URLs of the media library and of the files themselves."""

from django.urls import path, re_path

from media.web import files, library

app_name = "media"

urlpatterns = [
    path("media", library.show_library, name="library"),
    path("media/upload", library.upload, name="upload"),
    path("media/use", library.use_selection, name="use"),
    path("media/delete", library.delete_selection, name="delete-selection"),
    path("media/images/<int:media_id>", library.show_file, name="image"),
    path("media/images/<int:media_id>/delete", library.delete, name="delete"),
    re_path(r"^media/(?P<key>[A-Za-z0-9_-]{1,40})$", files.file, name="file"),
    re_path(r"^media/(?P<key>[A-Za-z0-9_-]{1,40})/sent$", files.sent, name="sent"),
    re_path(r"^media/(?P<key>[A-Za-z0-9_-]{1,40})/preview$", files.preview, name="preview"),
]
