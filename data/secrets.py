"""Passwords, tokens and signatures, which must not be printed."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, unquote_plus

HIDDEN = "***"
# Values of a URL's query that are shown; any other may be a secret under a name of its own.
SHOWN = ("application_name", "charset", "connect_timeout", "max_results", "mode", "sslmode", "sslrootcert", "uri")
# Schemes where a name without a password is a user's name, and not a token.
_NAMES_ONLY = r"(?:postgres\w*|mysql|mariadb|mssql|sqlite|ssh)(?:\+\w+)?://"
_SECRET_NAME = (
    r"[\w.-]*(?:pass(?:word|wd|phrase)?|pwd|token|secret|sig(?:nature)?|credentials?|api[_-]?key|access[_-]?key)"
)
_HIDDEN_BEFORE = r"(?!\*{3}(?:[\s&'\":;,.)]|$))"  # a text may come here twice
_VALUE = rf"{_HIDDEN_BEFORE}(?:\"[^\"]*\"?|'[^']*'?|[^\s&,;]+)"
_PATTERNS = (
    # user:password@ of a URL: up to the last @, since a password that is not escaped may hold anything.
    re.compile(r"(://[^:]*?:)(?!\*{3}@).*(?=@)", re.DOTALL),
    # token@ of a URL.
    re.compile(rf"(?<![\w+.-])((?!{_NAMES_ONLY})[\w+.-]+://)[^\s:/@]+(?=@)", re.IGNORECASE),
    # user:password@host without a scheme.
    re.compile(r"(?<![^\s'\"(=])([^\s:/@'\"(=]+:)[^\s/]\S*(?=@)"),
    # name=value in a query.
    re.compile(rf"([?&;](?!(?:{'|'.join(SHOWN)})=)[^\s=&?;'\"]+=){_HIDDEN_BEFORE}[^\s&]*[^\s&'\":;,.)]"),
    # password=value or "token": "value" elsewhere, as in a driver's settings or an environment.
    re.compile(rf"({_SECRET_NAME}[\"']?\s*=\s*){_VALUE}", re.IGNORECASE),
    re.compile(rf"([\"']{_SECRET_NAME}[\"']\s*:\s*){_VALUE}", re.IGNORECASE),
    re.compile(r"(\b(?:Basic|Bearer)\s+)(?=\S*[\d=+/])[\w+/=.~-]{8,}", re.IGNORECASE),
)


def masked(text: str, *urls: str) -> str:
    """Returns the text with its secrets as ***; it rather hides too much than too little.

    Args:
        text: a URL, or a text with URLs in it, such as an error's message.
        urls: URLs whose secrets the text may quote without the rest, as some errors do.
    """
    for secret in sorted({secret for url in urls for secret in _secrets(url)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def masked_lines(text: str, *urls: str) -> str:
    """Does for each line of a long text, such as a traceback, what `masked` does."""
    return "\n".join(masked(line, *urls) for line in text.split("\n"))


def holds_secret(url: str) -> bool:
    """Returns whether a URL has something in it that must not be printed."""
    return masked(url) != url


def _secrets(url: str) -> set[str]:
    """Returns the secrets of a URL as they stand in it, as they read once unescaped, and as they are escaped."""
    user, _, password = url.partition("://")[2].rpartition("@")[0].partition(":")
    query = (part.partition("=") for part in url.partition("?")[2].split("&"))
    found = {value for name, _, value in query if name not in SHOWN}
    secret = password or ("" if re.match(_NAMES_ONLY, url) else user)
    found |= {secret, *re.split("[/?#@]", secret)}  # an error quotes such a part where it takes one for the host
    read = found | {unquote(value) for value in found} | {unquote_plus(value) for value in found}
    forms = read | {quote(value, safe="") for value in read}
    return {form for form in forms if len(form) > 2}  # a shorter one would take words apart
