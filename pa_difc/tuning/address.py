"""The address of a study's storage, separated from its password, which is only ever sent to the server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

#: Passwords in the query of an address, at any position.
_QUERY = re.compile(r"([?&])(\w*pass(?:word|wd)?|pwd)=([^&\s]*)", re.IGNORECASE)

#: "scheme://user:password@rest"; a password may contain any character, even "@".
_USER = re.compile(r"^([\w+.-]+://[^:/@\s]*):(.*)@([^@]*)$", re.DOTALL)

#: Other common schemes for what SQLAlchemy calls postgresql+psycopg2.
_POSTGRES = re.compile(r"^postgres(ql)?://")


@dataclass(frozen=True)
class Address:
    """An address without its password, and the password.

    Attributes:
        url: the address without a password; may be printed and written.
        password: the decoded password; None if the address had none.
    """

    url: str
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, text: str) -> Address:
        """Parses an address that a user gave."""
        found: list[str] = []
        if user := _USER.match(text):
            found.append(unquote(user[2]))
            text = f"{user[1]}@{user[3]}"
        if found_in_query := [unquote(match[3]) for match in _QUERY.finditer(text)]:
            found += found_in_query
            text = re.sub(r"([?&])&+", r"\1", _QUERY.sub(r"\1", text)).rstrip("?&")
        return cls(_POSTGRES.sub("postgresql+psycopg2://", text), found[0] if found else None)

    def clean(self, text: str) -> str:
        """Removes the password from a driver's message."""
        for secret in {self.password, quote(self.password or "", safe="")} - {None, ""}:
            text = text.replace(str(secret), "…")
        return text
