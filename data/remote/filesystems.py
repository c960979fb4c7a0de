"""Places that fsspec reaches: folders, S3, Google's storage and others, by their URI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import fsspec

from data.errors import UserError

NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "TokenRetrievalError"}
NO_CONNECTION = {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "FSTimeoutError"}


class Place(NamedTuple):
    """Where a URI leads."""

    uri: str
    filesystem: fsspec.AbstractFileSystem
    path: str

    def file(self, name: str) -> str:
        return f"{self.path}/{name}"


@contextmanager
def place_errors_explained(uri: str) -> Iterator[None]:
    """Turns what a filesystem may raise, and each has its own exceptions, into a UserError that says what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        name, text = type(error).__name__, " ".join(str(error).split()) or type(error).__name__
        if name in NO_CREDENTIALS or "credentials" in text.lower():
            remedy = "set its credentials, for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
            raise UserError(f"{uri}: there are no credentials for it ({text}): {remedy}") from error
        if name in NO_CONNECTION or isinstance(error, ConnectionError | TimeoutError):
            remedy = "look at the network, and for S3 at AWS_ENDPOINT_URL"
            raise UserError(f"{uri}: no connection ({text}): {remedy}") from error
        if isinstance(error, PermissionError):
            raise UserError(f"{uri}: access is refused ({text}): ask its owner for leave to it") from error
        if isinstance(error, FileNotFoundError):
            raise UserError(f"{uri}: does not exist ({text}): make the bucket or folder, or name another") from error
        raise UserError(f"{uri}: {text}: look at that place, or name another") from error


def place_at(uri: str) -> Place:
    """Where a URI, or the path of a folder, leads. UserError where it is none, or a package is missing for it."""
    protocol, mark, _ = uri.partition("://")
    if not mark:
        if ":" in uri.partition("/")[0]:
            raise UserError(f"{uri} is no URI such as s3://BUCKET/FOLDER: correct it, or for a folder write ./{uri}")
        protocol, uri = "file", str(Path(uri).absolute())
    options = {"auto_mkdir": True} if protocol in ("file", "local") else {}
    try:
        filesystem, path = fsspec.core.url_to_fs(uri, **options)
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or error.name
        raise UserError(f"{uri}: {protocol}:// needs the Python package {package}: pip install {package}") from error
    except ValueError as error:
        raise UserError(f"{uri}: unknown protocol {protocol}://: known are s3, gs, file, … ({error})") from error
    except Exception as error:
        raise UserError(f"{uri}: {error}: name another place") from error
    filesystem.invalidate_cache()  # it may remember what others have changed since
    return Place(uri, filesystem, path.rstrip("/"))
