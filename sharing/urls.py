"""Addresses of this app. Those below ``shared/`` need no account; their token is the key."""

from django.urls import path

from sharing import client_views, views

app_name = "sharing"

urlpatterns = [
    path("missions/<int:mission_id>/links", views.show_links, name="links"),
    path("missions/<int:mission_id>/links/new", views.new_link, name="new"),
    path("missions/<int:mission_id>/links/<int:link_id>/withdraw", views.withdraw_link, name="withdraw"),
    path("shared/<str:link_token>", client_views.show_shared, name="shared"),
    path("shared/<str:link_token>/tiles", client_views.show_tiles, name="tiles"),
    path("shared/<str:link_token>/picks", client_views.pick, name="pick"),
    path("shared/<str:link_token>/results.zip", client_views.download_all, name="download"),
    path("shared/<str:link_token>/<int:index>/<int:number>", client_views.show_file, name="file"),
    path("shared/<str:link_token>/<int:index>/<int:number>/small", client_views.show_thumbnail, name="thumbnail"),
]
