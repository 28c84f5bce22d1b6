"""``{{ item.error_message|told }}``: what a row says, in the reader's language."""

from django import template

from core.translated_reasons import in_readers_language

register = template.Library()
register.filter("told", in_readers_language, is_safe=False)
