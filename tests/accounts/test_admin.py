"""API tokens in the admin."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from accounts import services
from accounts.models import ApiToken
from billing.models import SpendingLimit

pytestmark = pytest.mark.django_db


def test_new_token_is_shown_once(admin_client, owner):
    form = {"user": owner.pk, "name": "laptop", "expires_at_0": "", "expires_at_1": "", "scopes": ["read"]}
    page = admin_client.post(reverse("admin:accounts_apitoken_add"), form, follow=True).content.decode()
    secret = re.search(r"rhb_[\w-]{40,}", page)
    assert secret
    token = services.authenticate(secret[0])
    assert token is not None
    assert (token.user, token.name, token.scopes) == (owner, "laptop", ["read"])
    for address in (
        reverse("admin:accounts_apitoken_changelist"),
        reverse("admin:accounts_apitoken_change", args=[token.pk]),
    ):
        assert secret[0] not in admin_client.get(address).content.decode()


def test_tokens_are_revoked_from_the_list(admin_client, owner):
    token, secret = services.create_token(user=owner, name="laptop")
    form = {"action": "revoke", "_selected_action": [token.pk]}
    admin_client.post(reverse("admin:accounts_apitoken_changelist"), form)
    assert services.authenticate(secret) is None


def test_token_keeps_its_user(admin_client, owner, stranger):
    token, secret = services.create_token(user=owner, name="laptop")
    form = {"user": stranger.pk, "name": "old laptop", "expires_at_0": "", "expires_at_1": ""}
    admin_client.post(reverse("admin:accounts_apitoken_change", args=[token.pk]), form)
    assert ApiToken.objects.get().name == "old laptop"
    assert services.authenticate(secret).user == owner


def test_operator_creates_only_own_tokens(client, owner):
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    client.force_login(clerk)
    for user, made in ((owner, 0), (clerk, 1)):
        form = {"user": user.pk, "name": "x", "expires_at_0": "", "expires_at_1": "", "scopes": ["read", "create"]}
        client.post(reverse("admin:accounts_apitoken_add"), form)
        assert ApiToken.objects.filter(user=user).count() == made


def test_user_page_has_the_spending_limit(admin_client, owner):
    address = reverse("admin:auth_user_change", args=[owner.pk])
    form = admin_client.get(address).context["adminform"].form
    values = {name: value for name, value in form.initial.items() if value is not None and not isinstance(value, list)}
    values |= {"last_login_0": "", "last_login_1": "", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    prefix = "spending_limit"
    values |= {f"{prefix}-TOTAL_FORMS": 1, f"{prefix}-INITIAL_FORMS": 0}
    values |= {f"{prefix}-0-amount": "12.5", f"{prefix}-0-period": "day", f"{prefix}-0-user": owner.pk}
    values[f"{prefix}-0-currency"] = "CNY"
    assert admin_client.post(address, values).status_code == 302
    assert str(SpendingLimit.objects.get(user=owner)) == "12.50 CNY per day (UTC)"


def test_a_name_with_markup_is_shown_as_text(admin_client, owner):
    User.objects.filter(pk=owner.pk).update(username="<img src=x onerror=run()>")
    for page in ("change", "delete"):
        content = admin_client.get(reverse(f"admin:auth_user_{page}", args=[owner.pk])).content.decode()
        assert "<img src=x" not in content, page
        assert "&lt;img src=x" in content, page
