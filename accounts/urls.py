"""Addresses of this app."""

from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    path("login/", views.SignIn.as_view(), name="login"),
    path("logout/", views.SignOut.as_view(), name="logout"),
    path("", views.account, name="account"),
    path("appearance", views.appearance, name="appearance"),
    path("session", views.session, name="session"),
    path("password", views.ChangePassword.as_view(), name="password"),
    path("tokens", views.tokens, name="tokens"),
    path("tokens/<int:token_id>/revoke", views.revoke_token, name="revoke-token"),
]
