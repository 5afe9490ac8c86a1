"""The address of a study's storage, apart from its password, which goes nowhere but to the server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

#: What is taken from the query of an address, wherever it stands.
_QUERY = re.compile(r"([?&])(\w*pass(?:word|wd)?|pwd)=([^&\s]*)", re.IGNORECASE)

#: "scheme://user:password@rest"; a password may have any character in it, an "@" too.
_USER = re.compile(r"^([\w+.-]+://[^:/@\s]*):(.*)@([^@]*)$", re.DOTALL)

#: Schemes that others print for what SQLAlchemy calls postgresql+psycopg2.
_POSTGRES = re.compile(r"^postgres(ql)?://")


@dataclass(frozen=True)
class Address:
    """An address without its password, and the password.

    Attributes:
        url: without it; what is printed, written and shown.
        password: as it is; None if the address had none.
    """

    url: str
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, text: str) -> Address:
        """The address that a user gave."""
        found: list[str] = []
        if user := _USER.match(text):
            found.append(unquote(user[2]))
            text = f"{user[1]}@{user[3]}"
        if found_in_query := [unquote(match[3]) for match in _QUERY.finditer(text)]:
            found += found_in_query
            text = re.sub(r"([?&])&+", r"\1", _QUERY.sub(r"\1", text)).rstrip("?&")
        return cls(_POSTGRES.sub("postgresql+psycopg2://", text), found[0] if found else None)

    def clean(self, text: str) -> str:
        """A driver's words without the password, should they quote it."""
        for secret in {self.password, quote(self.password or "", safe="")} - {None, ""}:
            text = text.replace(str(secret), "…")
        return text
