"""The form of a channel."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from notifications import channels
from notifications.models import Channel, ChannelKind

ADDRESS_LABELS: dict[str, str | Promise] = {
    ChannelKind.EMAIL: _("E-mail address"),
    ChannelKind.WEBHOOK: _("Address (https)"),
}
ADDRESS_HELP: dict[str, str | Promise] = {
    ChannelKind.WECOM: _("In the group: Group robots › Add › copy the webhook address."),
    ChannelKind.FEISHU: _("In the group: Settings › Bots › Add bot › Custom bot › copy the webhook address."),
    ChannelKind.DINGTALK: _("In the group: Settings › Bots › Add robot › Custom › copy the webhook address."),
    ChannelKind.SLACK: _("The address of an incoming webhook. Mattermost and Rocket.Chat understand it, too."),
    ChannelKind.WEBHOOK: _("Messages go there as JSON, signed by Standard Webhooks."),
}
SECRET_HELP: dict[str, str | Promise] = {
    ChannelKind.FEISHU: _("Only if “Set signature verification” is on."),
    ChannelKind.DINGTALK: _("Only if “Additional Signature” is on; it begins with SEC."),
}


class ChannelForm(forms.Form):
    """A new channel, or the changes of one. A blank address or secret leaves the stored one."""

    name = forms.CharField(label=_("Name"), max_length=100, required=False)
    address = forms.CharField(max_length=channels.MAX_URL, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    secret = forms.CharField(
        label=_("Secret"), max_length=channels.MAX_SECRET, required=False, widget=forms.PasswordInput
    )
    events = forms.MultipleChoiceField(label=_("Send a message when"), widget=forms.CheckboxSelectMultiple)

    def __init__(
        self, kind: str, data: Any = None, *, channel: Channel | None = None, initial_address: str = ""
    ) -> None:
        words = channels.choices_of(kind)
        initial: dict[str, Any] = {"address": initial_address}
        initial["events"] = [word for word in words.values if not word.startswith("item.")]
        if channel:
            address = channel.shown_address if channel.kind == ChannelKind.EMAIL else ""
            initial = {"name": channel.name, "events": channel.events, "address": address}
        super().__init__(data, initial=initial)
        field: Any = self.fields["address"]
        field.label = ADDRESS_LABELS.get(kind, _("Webhook address of the bot"))
        field.help_text = ADDRESS_HELP.get(kind, "")
        if channel and kind != ChannelKind.EMAIL:
            field.required = False
            field.help_text = _("Stored encrypted and not shown. Leave blank to keep it.")
        events: Any = self.fields["events"]
        events.choices = words.choices
        if kind in channels.SIGNING_KINDS:
            secret: Any = self.fields["secret"]
            secret.help_text = SECRET_HELP[kind]
            secret.widget.attrs["autocomplete"] = "off"
        else:
            del self.fields["secret"]

    def values(self, *, is_new: bool) -> dict[str, Any]:
        """Return the arguments of ``channels.create`` or ``channels.update``."""
        data = {name: value for name, value in self.cleaned_data.items() if name in self.fields}
        if not is_new:  # blank: unchanged
            data = {name: value for name, value in data.items() if value or name not in ("address", "secret")}
        return data

    def show_errors(self, invalid: channels.ChannelInvalid) -> None:
        """Show the errors of the service at their fields."""
        for error in invalid.errors:
            name = "address" if error.field == "url" else error.field
            self.add_error(name if name in self.fields else None, error.message)
