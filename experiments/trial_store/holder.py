"""The object that says who holds a place, and how it is written so that nobody writes over a successor."""

from __future__ import annotations

import json

from data.remote.filesystems import Place

LEASE = "lease.json"
Content = dict[str, str | int]  # `id`, `host` and `process` of the holder, and the number of its last `beat`


def is_conditional(place: Place) -> bool:
    """Returns whether the place can make a write depend on what is there: S3 compares the entity tag."""
    protocol = place.filesystem.protocol
    return "s3" in ([protocol] if isinstance(protocol, str) else protocol)


def read(place: Place) -> tuple[Content, str]:
    """Returns the lease, empty where there is none, and the entity tag that S3 gave it.

    The tag is asked for first: it is that of this content, or of an earlier one, to which nobody goes back.
    """
    path, tag = place.file(LEASE), ""
    place.filesystem.invalidate_cache()
    try:
        if is_conditional(place):
            tag = place.filesystem.info(path, refresh=True)["ETag"]
        content = json.loads(place.filesystem.cat_file(path))
    except FileNotFoundError:
        return {}, ""
    except ValueError:  # cut short: its holder died, or is writing, or has no room
        return {"id": ""}, tag
    return content if isinstance(content, dict) else {"id": ""}, tag


def write(place: Place, content: Content, replaced: Content, tag: str) -> bool:
    """Writes the lease in the place of another, or of none where `replaced` is empty.

    Returns False where something else is there. The reply to a write may be lost on the way, and the request repeated,
    whose condition then fails: what is there tells.
    """
    create, match = {"mode": "create"}, {"IfMatch": tag} if is_conditional(place) else {}
    try:
        place.filesystem.pipe_file(place.file(LEASE), json.dumps(content).encode(), **(match if replaced else create))
    except Exception:
        there, _ = read(place)
        if there == replaced:
            raise
        return there == content
    return True


def remove(place: Place, tag: str) -> None:
    """Removes the lease; on S3 only the one with that entity tag."""
    path = place.file(LEASE)
    if is_conditional(place):
        bucket, key, _ = place.filesystem.split_path(path)
        place.filesystem.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=tag)
    else:
        place.filesystem.rm_file(path)


def generation(content: Content) -> int:
    """Returns the number that a holder's id begins with; 0 where it has none."""
    number = str(content.get("id", "")).partition("-")[0]
    return int(number) if number.isdecimal() else 0


def is_lost(there: Content, holder: str) -> bool:
    """Returns whether what is there ends the lease of `holder`: nothing, or another one that is not older."""
    return not there or (there.get("id") != holder and generation(there) >= generation({"id": holder}))


def name(there: Content) -> str:
    """Returns which process on which machine the holder is, for messages."""
    return f"{there['host']} (process {there.get('process', 'unknown')})" if "host" in there else "another machine"
