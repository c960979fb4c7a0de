"""No password, token or signature is printed, wherever it stands in a URL or in an error."""

from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.secrets import holds_secret, masked, masked_lines

SCHEMES = ("http", "https", "postgresql", "postgresql+psycopg", "mysql", "s3", "ray", "foo")
NAMES = (
    "password",
    "token",
    "sig",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "access_token",
    "key",
    "sv",
    "sslpassword",
)
# What stands around a secret has no digit, so that a secret is found again by the digits in it.
AROUND = st.sampled_from(
    ("", "cannot reach ", "HTTPConnectionPool(host='h'): ", "tracking.uri = '", "a\nb: ", '{"a": "')
)
ANYTHING = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ESCAPED = ANYTHING.map(lambda text: quote(text, safe=""))


def hidden(secret):
    return f"1357{secret}2468"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:a@b:c d@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:pw@host", "postgresql://:***@host"),
        (
            "postgresql://me@host/db?password=x%20y&sslmode=require",
            "postgresql://me@host/db?password=***&sslmode=require",
        ),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("postgresql+psycopg://me@host:5432/db", "postgresql+psycopg://me@host:5432/db"),
        ("foo://user:pw@h", "foo://user:***@h"),
        ("https://hf_abc@host/x", "https://***@host/x"),
        ("me:pw@host:6379", "me:***@host:6379"),
        ("s3://bucket/a?X-Amz-Signature=ab12&sslmode=x", "s3://bucket/a?X-Amz-Signature=***&sslmode=x"),
        ("http://host/#access_token=ab12", "http://host/#access_token=***"),
        ("host=h user=me password='a b' dbname=d", "host=h user=me password=*** dbname=d"),
        ("{'Authorization': 'Bearer ab12cd34ef'}", "{'Authorization': 'Bearer ***'}"),
        ('{"token": "ab12", "name": "x"}', '{"token": ***, "name": "x"}'),
        ("AWS_SECRET_ACCESS_KEY=ab12", "AWS_SECRET_ACCESS_KEY=***"),
    ],
)
def test_secrets_are_masked(text, shown):
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN",
        "sqlite:///mlflow.db is locked: see http://127.0.0.1:5000/health",
        "vae.learning_rate = 0.02: must be at most 0.01",
        "s3://bucket/trials: another sweep is running on it (pid 5, since 12:30)",
        "the server asks for Basic authentication",
        "'mysql://me:***@h/d': must be a PostgreSQL URL (postgresql://USER@HOST/NAME)",
    ],
)
def test_what_is_no_secret_is_shown(text):
    assert masked(text) == text
    assert not holds_secret(text)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.sampled_from(SCHEMES), ESCAPED, ANYTHING, AROUND, AROUND)
@example("http", "", "@:/?# &='\"\n", "", "")
def test_no_password_of_a_url_survives(scheme, user, password, before, after):
    secret = hidden(password)
    url = f"{scheme}://{user}:{secret}@host:5000/path?x=y"
    for text in (url, f"{before}{url}{after}", f"{before}{url!r}{after}"):
        assert "1357" not in masked(text)
        assert "2468" not in masked(text)
    assert holds_secret(url)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.sampled_from(SCHEMES), st.sampled_from(NAMES), ESCAPED, AROUND, AROUND)
def test_no_secret_of_a_query_survives(scheme, name, value, before, after):
    url = f"{scheme}://host/path?a=b&{name}={hidden(value)}&sslmode=require"
    for text in (url, f"{before}{url}{after}", f"{before}{url!r}{after}"):
        assert "1357" not in masked(text)
        assert "2468" not in masked(text)
    assert "sslmode=require" in masked(url)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.sampled_from(SCHEMES), ANYTHING, AROUND)
@example("http", "PW", "nonnumeric port: '")
def test_an_error_that_quotes_a_secret_alone_is_masked_by_its_url(scheme, password, before):
    secret = hidden(password)
    for form in (secret, quote(secret, safe="")):
        url = f"{scheme}://user:{form}@host:5000"
        assert "1357" not in masked(f"{before}{secret}@host'", url)
        assert "1357" not in masked(f"{before}{form}@host'", url)


def test_a_traceback_keeps_its_lines():
    text = "Traceback:\n  @cache\n  x = a @ b\nOSError: http://u:pw@host refused\nsee me@host"
    assert masked_lines(text) == text.replace("u:pw@", "u:***@")
