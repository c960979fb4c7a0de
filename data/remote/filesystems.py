"""Places that fsspec can reach, by their URI: folders, S3, Google's storage and others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import fsspec

from data.errors import UserError
from data.secrets import masked

NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "TokenRetrievalError"}
NO_CONNECTION = {"EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "FSTimeoutError"}


class Place(NamedTuple):
    """A URI, and the filesystem and path that it stands for."""

    uri: str
    filesystem: fsspec.AbstractFileSystem
    path: str

    def __str__(self) -> str:
        """The URI without its secrets, for messages."""
        return masked(self.uri)

    def file(self, name: str) -> str:
        """Returns the path of a file there."""
        return f"{self.path}/{name}"


@contextmanager
def place_errors_explained(uri: str) -> Iterator[None]:
    """Turns any exception of a filesystem into a UserError with a remedy. Each filesystem has its own exceptions."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        name, text = type(error).__name__, " ".join(str(error).split()) or type(error).__name__
        text, uri = masked(text, uri), masked(uri)
        if name in NO_CREDENTIALS or "credentials" in text.lower():
            remedy = "set its credentials, for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
            raise UserError(f"{uri}: there are no credentials for it ({text}): {remedy}") from error
        if name in NO_CONNECTION or isinstance(error, ConnectionError | TimeoutError):
            remedy = "check the network, and for S3 AWS_ENDPOINT_URL"
            raise UserError(f"{uri}: no connection ({text}): {remedy}") from error
        if isinstance(error, PermissionError):
            raise UserError(f"{uri}: access is refused ({text}): ask its owner for access") from error
        if isinstance(error, FileNotFoundError):
            raise UserError(f"{uri}: does not exist ({text}): make the bucket or folder, or name another") from error
        raise UserError(f"{uri}: {text}: check that place, or name another") from error


def place_at(uri: str) -> Place:
    """Returns the place of a URI or of the path of a folder.

    Raises UserError where it is neither, or a package for its protocol is missing.
    """
    protocol, mark, _ = uri.partition("://")
    if not mark:
        if ":" in uri.partition("/")[0]:
            named = masked(uri)
            raise UserError(
                f"{named} is not a URI such as s3://BUCKET/FOLDER: correct it, or for a folder write ./{named}"
            )
        protocol, uri = "file", str(Path(uri).absolute())
    options = {"auto_mkdir": True} if protocol in ("file", "local") else {}
    try:
        filesystem, path = fsspec.core.url_to_fs(uri, **options)
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or error.name
        named = masked(uri)
        raise UserError(f"{named}: {protocol}:// needs the Python package {package}: pip install {package}") from error
    except ValueError as error:
        text = masked(str(error), uri)
        raise UserError(f"{masked(uri)}: unknown protocol {protocol}://: known are s3, gs, file, … ({text})") from error
    except Exception as error:
        raise UserError(f"{masked(uri)}: {masked(str(error), uri)}: name another place") from error
    filesystem.invalidate_cache()  # it may remember what others have changed
    return Place(uri, filesystem, path.rstrip("/"))
