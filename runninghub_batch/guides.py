"""Help inside the program: the guides, and the way to it from a telephone.

/help, /help/PAGE     a page of docs/, in the reader's language if it exists
/phone                the site's address as a QR code
/manifest.webmanifest what a browser needs to install the site as an app
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import segno
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from core.http.local_address import own_address
from core.http.redirects import safe_next

DOCS = settings.BASE_DIR / "docs"
USER_GUIDE = "user-guide"
CHINESE = ".zh-CN"
_LANGUAGES = re.compile(r"^(?:English · .*|.* · 简体中文)\n", re.MULTILINE)
_CONTENTS = re.compile(r"(?:^- \[[^\]\n]{1,200}\]\(#[^)\n]{1,200}\)\n){3,100}", re.MULTILINE)
_PAGE_LINK = re.compile(r"(?:docs/)?([\w.-]{1,60})\.md(#[^#]{0,100})?")


@require_safe
@login_required
def show_help(request: HttpRequest, page: str = USER_GUIDE) -> HttpResponse:
    """Show a page of the documentation. Raises Http404 if there is none of this name."""
    translated = DOCS / f"{page}{CHINESE}.md"
    is_chinese = (get_language() or "").startswith("zh") and translated.name in _names("*.md")
    path = translated if is_chinese else DOCS / f"{page}.md"
    if path.name not in _names("*.md"):
        raise Http404
    title, sections, content = _rendered(path, path.stat().st_mtime_ns)
    context = {"title": title, "sections": sections, "content": content, "is_guide": page == USER_GUIDE}
    return render(request, "help.html", context)


@require_safe
@login_required
def show_image(request: HttpRequest, name: str) -> HttpResponse:
    """Return a picture of the documentation."""
    if f"images/{name}" not in _names("images/*.webp"):
        raise Http404
    response = HttpResponse((DOCS / "images" / name).read_bytes(), content_type="image/webp")
    response["Cache-Control"] = "private, max-age=86400"
    return response


@require_safe
@login_required
def show_phone(request: HttpRequest) -> HttpResponse:
    """Show the address of the page that the person came from, as a QR code.

    An address that only this computer can reach has none; the page then says what to do.
    """
    path = safe_next(request, reverse("home"))
    site = settings.PUBLIC_BASE_URL or f"{request.scheme}://{request.get_host()}"
    url = site + path
    is_reachable = bool(settings.PUBLIC_BASE_URL) or not _is_loopback(request.get_host())
    context = {
        "url": url,
        "path": path,
        "picture": segno.make(url).svg_data_uri(scale=6, border=3, light="white") if is_reachable else "",
        "lan_address": f"http://{own_address()}:{request.get_port()}/",
        "is_secure": url.startswith("https://"),
    }
    return render(request, "phone.html", context)


@require_safe
def show_manifest(request: HttpRequest) -> JsonResponse:
    """Return the web app manifest (https://www.w3.org/TR/appmanifest/)."""
    icons = [
        {
            "src": static(f"help/icon-{size}.png"),
            "sizes": f"{size}x{size}",
            "type": "image/png",
            "purpose": "any maskable",
        }
        for size in (192, 512)
    ]
    manifest = {
        "name": "RunningHub Batch",
        "short_name": "Batch",
        "description": _("Create many images or videos at once."),
        "lang": get_language(),
        "id": "/",
        "start_url": reverse("home"),
        "scope": "/",
        "display": "standalone",
        "background_color": "#f6f5f1",
        "theme_color": "#0f6656",
        "icons": icons,
    }
    return JsonResponse(manifest, content_type="application/manifest+json")


def _names(pattern: str) -> set[str]:
    """Return the documentation's files of a pattern, so that no request leads to another file."""
    return {str(path.relative_to(DOCS)) for path in DOCS.glob(pattern)}


def _is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":[0-9]+$", host) else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name in ("localhost", "testserver")


@lru_cache(maxsize=64)
def _rendered(path: Path, changed_ns: int) -> tuple[str, list[tuple[str, str]], SafeString]:
    """Return the title, the sections (anchor, text) and the HTML of a page.

    Headings get the anchors that GitHub gives them. ``changed_ns`` makes a changed file a new entry
    of the cache.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    text = path.read_text(encoding="utf-8")
    for part in (_LANGUAGES, _CONTENTS):  # the page has its own
        text = part.sub("", text, count=1)
    tokens = markdown.parse(text)
    title, sections = "", []
    for token, inline in pairwise(tokens):  # a heading is followed by its text
        if token.type != "heading_open":
            continue
        text = "".join(child.content for child in inline.children or [])
        anchor = slugify(text, allow_unicode=True)
        token.attrSet("id", anchor)
        if token.tag == "h1":
            title = text
        elif token.tag == "h2":
            sections.append((anchor, text))
    for token in tokens:
        for child in token.children or []:
            _adapt(child)
    html = markdown.renderer.render(tokens, markdown.options, {})
    # A table may be wider than a telephone: it scrolls by itself.
    html = html.replace("<table>", '<div class="table-frame" tabindex="0"><table class="table">')
    html = html.replace("</table>", "</table></div>")
    return title, sections, mark_safe(html)  # noqa: S308  our own texts, and HTML in them is escaped


def _adapt(token: Token) -> None:
    """Let links and pictures of the documentation lead to the pages here."""
    if token.type == "image":
        name = Path(str(token.attrs["src"])).name
        token.attrs.update(src=reverse("help-image", args=[name]), loading="lazy")
    elif token.type == "link_open":
        href = str(token.attrs["href"])
        if match := _PAGE_LINK.fullmatch(href):
            page = match[1].removesuffix(CHINESE)
            token.attrs["href"] = reverse("help", args=[page]) + (match[2] or "")
        elif not href.startswith(("https://", "#")):
            del token.attrs["href"]  # a file of the source code, which is not shown here
