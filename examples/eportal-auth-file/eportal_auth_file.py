"""Users from a file of lines ``name:readonly|admin:salt:hash``."""

import hashlib
import os
import secrets

import click
from eportal_core import AccessDenied, Identity, Setting, disk_errors, hookimpl

SCRYPT = {"n": 2**14, "r": 8, "p": 5}  # Source: OWASP, Password Storage Cheat Sheet.


@hookimpl
def eportal_settings():
    return [Setting("AUTH_FILE", str, "/etc/eportal/users", "File of users.", absolute=True)]


@hookimpl(tryfirst=True)
def eportal_authenticate(portal, username, password):
    with disk_errors(), open(portal.config["AUTH_FILE"], errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise AccessDenied("AUTH_FILE is open to others than its owner: set its mode to 0600.")
        rows = [line.split(":") for line in file.read().split("\n")]
    users = {row[0]: row[1:] for row in rows if len(row) == 4 and row[1] in ("readonly", "admin")}
    role, salt, known = users.get(username, ("", "", ""))
    key = hashlib.scrypt(password.encode(), salt=salt.encode(), **SCRYPT).hex()
    if role and not secrets.compare_digest(key.encode(), known.encode()):
        raise AccessDenied("The name or the password is wrong.")
    return Identity(username, "file", role == "readonly") if role else None


@hookimpl
def eportal_commands(cli):
    @cli.command("auth-file", help="print a user's line for AUTH_FILE", short_help="make a line")
    @click.argument("user", help="user name")
    def line(user):
        salt, password = secrets.token_hex(), click.prompt("Password", hide_input=True, err=True)
        key = hashlib.scrypt(password.encode(), salt=salt.encode(), **SCRYPT).hex()
        click.echo(f"{user}:readonly:{salt}:{key}")
