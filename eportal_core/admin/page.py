"""A plain page: readable on a telephone and in the dark, without a file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse

from eportal_core.web.headers import nonce

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/admin/static/icon.svg">
{head}<title>{title}</title>
<style nonce="{nonce}">
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }}
body {{ max-width: 40rem; margin: 3rem auto; padding: 0 1rem; overflow-wrap: anywhere; }}
th {{ text-align: left; font-weight: normal; padding-right: 2rem; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }}
.narrow {{ max-width: 20rem; margin: 0 auto; }}
label {{ display: block; margin: 1rem 0; }}
input, button, .button {{ box-sizing: border-box; width: 100%; min-height: 2.75rem; font: inherit;
  padding: .5rem .75rem; border: 1px solid GrayText; border-radius: .375rem; }}
button, .button {{ display: block; margin: 1rem 0; text-align: center; cursor: pointer;
  color: ButtonText; background: ButtonFace; text-decoration: none; }}
.who {{ display: flex; gap: 1rem; justify-content: space-between; align-items: center; }}
.who button {{ width: auto; margin: 0; }}
[role=alert] {{ padding: .5rem .75rem; border-left: .25rem solid #d33; }}
</style>
{body}"""


def page(
    request: Request,
    title: str,
    body: str,
    status: int = 200,
    *,
    head: str = "",
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """A page of ``body``, which is markup, as is ``head``; ``title`` is text."""
    text = _PAGE.format(title=escape(title), nonce=nonce(request), head=head, body=body)
    return HTMLResponse(text, status, headers)
