"""Sign-in, preferences and tokens on the account pages."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from accounts import services
from accounts.models import ApiToken, Profile
from media.services import store_upload
from tests.core.operations import picture

PASSWORD = "a long enough password"


@pytest.fixture
def signed_in(owner):
    client = Client()
    client.force_login(owner)
    return client


def text(response) -> str:
    return response.content.decode()


# --- Signing in and out ---


def test_sign_in_redirects_to_next(owner):
    client = Client(enforce_csrf_checks=True)
    page = client.get("/accounts/login/?next=/accounts/tokens")
    form = {"username": "mei", "password": PASSWORD, "next": "/accounts/tokens", "csrfmiddlewaretoken": token_in(page)}
    answer = client.post("/accounts/login/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/tokens")


def token_in(page) -> str:
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text(page))[1]


def test_wrong_password_keeps_the_username(owner):
    page = Client().post("/accounts/login/", {"username": "mei", "password": "wrong"})
    assert 'role="alert"' in text(page)
    assert 'value="mei"' in text(page)


def test_wrong_password_focuses_the_password(owner):
    for door in ("/accounts/login/", "/admin/login/"):
        page = text(Client().post(door, {"username": "mei", "password": "wrong"}))
        [focused] = re.findall(r"<input [^>]*autofocus[^>]*>", page)
        assert 'name="password"' in focused, door


def test_first_sign_in_names_the_place_of_the_password(owner):
    assert "Nobody has signed in yet" not in text(Client().get("/accounts/login/"))  # no user of make serve
    User.objects.create_user("admin")
    assert "Nobody has signed in yet" in text(Client().get("/accounts/login/"))
    Client().post("/accounts/login/", {"username": "mei", "password": PASSWORD})
    assert "Nobody has signed in yet" not in text(Client().get("/accounts/login/"))


def test_admin_sign_in_names_a_person_who_may_not_enter(signed_in):
    page = text(signed_in.get("/admin/", follow=True))
    assert "mei may not enter the administration." in page
    assert 'class="sign-in"' in page


def test_sign_in_redirects_to_no_other_host(owner):
    form = {"username": "mei", "password": PASSWORD, "next": "https://evil.example/"}
    assert Client().post("/accounts/login/", form)["Location"] == "/"


def test_home_redirects_to_missions():
    assert Client().get("/")["Location"] == "missions"


def test_sign_out_needs_post(signed_in):
    assert signed_in.get(reverse("accounts:logout")).status_code == 405
    assert signed_in.post(reverse("accounts:logout"))["Location"] == reverse("accounts:login")
    assert signed_in.get(reverse("accounts:account")).status_code == 302


def test_password_change_keeps_the_session(signed_in, owner):
    form = {"old_password": PASSWORD, "new_password1": "quite another one", "new_password2": "quite another one"}
    page = signed_in.post(reverse("accounts:password"), form, follow=True)
    assert "Password changed." in text(page)
    owner.refresh_from_db()
    assert owner.check_password("quite another one")


@pytest.mark.parametrize("name", ["account", "password", "tokens"])
def test_account_pages_need_sign_in(name, db):
    address = reverse(f"accounts:{name}")
    assert Client().get(address)["Location"] == f"/accounts/login/?next={address}"


# --- Preferences ---


def test_preferences_apply_on_every_device(signed_in, owner):
    wishes = {"language": "zh-hans", "time_zone": "Asia/Shanghai", "theme": "dark"}
    signed_in.post(reverse("accounts:account"), wishes)
    assert Profile.objects.values("language", "time_zone", "theme").get(user=owner) == wishes
    elsewhere = Client()
    elsewhere.force_login(owner)
    page = elsewhere.get(reverse("accounts:account"), headers={"Accept-Language": "en"})
    assert '<html lang="zh-Hans" data-theme="dark">' in text(page)
    assert page["Content-Language"] == "zh-hans"


def test_browser_decides_without_preference(signed_in):
    page = signed_in.get(reverse("accounts:account"), headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert '<html lang="zh-Hans" data-theme="auto">' in text(page)


@pytest.mark.parametrize("wish", [{"language": "xx"}, {"time_zone": "Mars/Base"}, {"theme": "neon"}])
def test_unknown_choices_are_refused(signed_in, wish):
    form = {"language": "", "time_zone": "", "theme": "auto", **wish}
    assert signed_in.post(reverse("accounts:account"), form).status_code == 422
    assert not Profile.objects.exists()


def test_switch_changes_one_preference(signed_in, owner):
    Profile.objects.create(user=owner, time_zone="Asia/Tokyo", theme="light")
    answer = signed_in.post(reverse("accounts:appearance"), {"theme": "dark", "next": "/accounts/tokens"})
    assert answer["Location"] == "/accounts/tokens"
    assert Profile.objects.values_list("theme", "time_zone").get(user=owner) == ("dark", "Asia/Tokyo")


def test_switch_redirects_to_no_other_host(signed_in):
    answer = signed_in.post(reverse("accounts:appearance"), {"theme": "dark", "next": "//evil.example/"})
    assert answer["Location"] == "/"


def test_strangers_can_choose_preferences(db):
    client = Client()
    client.post(reverse("accounts:appearance"), {"theme": "dark"})
    client.post(reverse("accounts:appearance"), {"language": "zh-hans"})
    assert '<html lang="zh-Hans" data-theme="dark">' in text(client.get(reverse("accounts:login")))
    assert not Profile.objects.exists()


def test_preferences_stay_after_sign_out(owner):
    Profile.objects.create(user=owner, language="zh-hans", theme="dark")
    client = Client()
    client.post(reverse("accounts:login"), {"username": "mei", "password": PASSWORD})
    client.post(reverse("accounts:logout"))
    assert '<html lang="zh-Hans" data-theme="dark">' in text(client.get(reverse("accounts:login")))


@pytest.mark.parametrize(
    "chosen, browser, shown",
    [
        ("Asia/Tokyo", "Asia/Shanghai", "19:30"),
        ("", "Asia/Shanghai", "18:30"),
        ("", "../etc/passwd", "10:30"),
    ],
)
def test_time_zone_of_person_beats_browser(signed_in, owner, chosen, browser, shown):
    Profile.objects.create(user=owner, time_zone=chosen)
    token = services.create_token(user=owner, name="x")[0]
    ApiToken.objects.filter(pk=token.pk).update(expires_at="2040-01-01T10:30:00Z")
    signed_in.cookies["time_zone"] = browser
    assert shown in text(signed_in.get(reverse("accounts:tokens"), headers={"Accept-Language": "en"}))


def test_picture_responses_do_not_vary_by_cookie(signed_in, owner, django_assert_num_queries):
    media = store_upload(owner=owner, file=picture(), name="cat.png").media
    with django_assert_num_queries(1):
        answer = signed_in.get(f"/media/{media.key}", headers={"Sec-Fetch-Dest": "image"})
    assert answer.status_code == 200
    assert "Cookie" not in answer.get("Vary", "")


# --- Tokens ---


def test_token_is_shown_once_and_works(signed_in, owner):
    page = signed_in.post(
        reverse("accounts:tokens"), {"name": "nightly", "expires_in_days": "30", "scopes": ["read", "operate"]}
    )
    secret = re.search(r"rhb_[\w-]{40,}", text(page))[0]
    assert services.authenticate(secret).user == owner
    assert "no-store" in page["Cache-Control"]
    assert secret not in text(signed_in.get(reverse("accounts:tokens")))


def test_invalid_token_form_keeps_its_values(signed_in):
    page = signed_in.post(reverse("accounts:tokens"), {"name": " ", "expires_in_days": "365"})
    assert page.status_code == 422
    assert '<option value="365" selected>' in text(page)
    assert not ApiToken.objects.exists()


def test_token_limit_is_explained(signed_in, owner):
    ApiToken.objects.bulk_create(
        ApiToken(user=owner, name="x", digest=str(number), prefix="rhb_") for number in range(services.MAX_TOKENS)
    )
    page = signed_in.post(reverse("accounts:tokens"), {"name": "one more", "expires_in_days": "", "scopes": ["read"]})
    assert f"You have {services.MAX_TOKENS} tokens" in text(page)


def test_token_is_revoked_after_confirmation(signed_in, owner):
    token, secret = services.create_token(user=owner, name="old laptop")
    address = reverse("accounts:revoke-token", args=[token.pk])
    assert "old laptop" in text(signed_in.get(address))
    assert services.authenticate(secret)
    page = signed_in.post(address, follow=True)
    assert "revoked" in text(page)
    assert services.authenticate(secret) is None


def test_tokens_of_others_are_hidden(signed_in, stranger):
    token, secret = services.create_token(user=stranger, name="not yours")
    assert "not yours" not in text(signed_in.get(reverse("accounts:tokens")))
    assert signed_in.post(reverse("accounts:revoke-token", args=[token.pk])).status_code == 404
    assert services.authenticate(secret)
