"""What an agent reports of its machine: read from a request, trusted in nothing.

The facts travel as ``?info=<base64url of a JSON object>`` (the form is ours, docs/agents.md).
A fact that is not what it should be is ignored; the check-in counts all the same.
"""

from __future__ import annotations

import binascii
import hashlib
from operator import attrgetter
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

#: Longest query string of a check-in that is read, bytes.
QUERY_MAX_BYTES = 16 * 1024

_URLSAFE = bytes.maketrans(b"-_", b"+/")

Text = Annotated[str, msgspec.Meta(max_length=255)]
LongText = Annotated[str, msgspec.Meta(max_length=1000)]
Number = Annotated[int, msgspec.Meta(ge=0, le=10**15)]


class Reported(msgspec.Struct, gc=False):
    """The facts that are kept; names as the HTTP API shows them. ``uptime`` in seconds."""

    hostname: Text | None = None
    patch_level: Number | None = None
    patch_type: Text | None = None
    euname: Text | None = None
    release: Text | None = None
    version: Text | None = None
    machine: Text | None = None
    processor: Text | None = None
    virt: Text | None = None
    kcare_version: Text | None = None
    distro: Text | None = None
    distro_version: Text | None = None
    tags: LongText | None = None
    uptime: Number | None = None


#: Facts that are columns of the table ``facts`` under the same name; the tags are kept with the
#: server, and the uptime with each check-in.
COLUMNS = tuple(name for name in Reported.__struct_fields__ if name not in ("tags", "uptime"))

#: The facts that are texts, in the order of the fields.
texts = attrgetter(
    *(name for name in Reported.__struct_fields__ if name not in ("patch_level", "uptime"))
)
_decoder = msgspec.json.Decoder(Reported)
_any_decoder = msgspec.json.Decoder()
_encoder = msgspec.msgpack.Encoder()
_FIELDS = {field.name: field.type for field in msgspec.structs.fields(Reported)}
NOTHING = Reported()


def read(query: bytes) -> Reported:
    """The facts in a raw query string."""
    if query.startswith(b"info=") and b"&" not in query:
        value = query[5:]
        if b"%" in value:
            value = unquote_to_bytes(value)
    else:
        values = parse_qs(query.decode("latin-1")).get("info")
        if not values:
            return NOTHING
        value = values[0].replace(" ", "+").encode("latin-1", "replace")
    try:
        # Padding may be missing; more of it than needed does no harm.
        return read_json(binascii.a2b_base64(value.translate(_URLSAFE) + b"=="))
    except binascii.Error:
        return NOTHING


def read_json(data: bytes) -> Reported:
    """The facts in a JSON object; those that are of a wrong type or length are None."""
    try:
        reported = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_leniently(data)
    if "".join(filter(None, texts(reported))).isprintable():
        return reported
    return _read_leniently(data)


def digest(reported: Reported, ip: str, kernel_id: str) -> bytes:
    """Eight bytes that change when any fact but the uptime does."""
    facts = _encoder.encode((texts(reported), reported.patch_level, ip, kernel_id))
    return hashlib.blake2b(facts, digest_size=8).digest()


def _read_leniently(data: bytes) -> Reported:
    try:
        values = _any_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NOTHING
    if not isinstance(values, dict):
        return NOTHING
    return Reported(**{name: _kept(name, values.get(name)) for name in _FIELDS})


def _kept(name: str, value: Any) -> Any:
    try:
        value = msgspec.convert(value, _FIELDS[name])
    except (msgspec.ValidationError, RecursionError):
        return None
    return value if not isinstance(value, str) or value.isprintable() else None
