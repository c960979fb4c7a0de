"""Damaged and hostile archives: each is refused in one line, or its members have the content that they had."""

import bz2
import gzip
import io
import random
import tarfile
import zipfile

import pytest

from data.errors import UserError
from data.formats import archives
from tests.fuzz.hanging import Hanging, in_time

LIMIT = 200_000  # bytes that an archive may hold
NAMES = ["a/one.jpg", "../x", "/etc/passwd", "a/../../x", "C:\\x", "..\\x", "", ".", "a\0b", "a\nb", "é", "x" * 300]
KINDS = [tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
KINDS += [tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, b"?"]


def tar_of(files, kind=tarfile.REGTYPE):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(files, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return out.getvalue()


def hostile(draw):
    """An archive with names, kinds of members or sizes that no dataset needs."""
    files = [("a/one.jpg", b"1" * 100), (draw.choice(NAMES), draw.randbytes(draw.choice([0, 9, 700])))]
    if draw.random() < 0.3:
        files.append(("a/large", bytes(draw.choice([LIMIT, 30 * LIMIT]))))
    match draw.randrange(4):
        case 0:
            return zip_of(files, draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
        case 1:
            return gzip.compress(tar_of(files, draw.choice(KINDS)))
        case 2:
            return bz2.compress(tar_of(files))
    return tar_of(files, draw.choice(KINDS))


def damaged(draw, whole):
    """An archive with bytes flipped, cut out, put in or set to extremes, some of them within a whole gzip."""
    inner = draw.random() < 0.5 and whole[:2] == b"\x1f\x8b"
    data = bytearray(gzip.decompress(whole) if inner else whole)
    for _ in range(draw.choice([1, 1, 2, 5])):
        at = draw.randrange(len(data)) if data else 0
        match draw.randrange(6):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                data[at : at + 4] = draw.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"7777"])
            case 2:
                del data[at : at + draw.choice([1, 4, 512])]
            case 3:
                data[at:at] = draw.randbytes(draw.choice([1, 4, 512]))
            case 4:
                del data[at:]
            case _:
                data += data[at : at + 1024]
    if inner:
        return gzip.compress(bytes(data), mtime=0)
    return bytes(data)


FILES = [("a/one.jpg", b"1" * 700), ("a/two.jpg", bytes(range(256)) * 9), ("b/empty.jpg", b"")]
WHOLE = [tar_of(FILES), gzip.compress(tar_of(FILES), mtime=0), zip_of(FILES), zip_of(FILES, zipfile.ZIP_STORED)]


def leads_out(name):
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or "\0" in name or not name


@pytest.mark.filterwarnings("ignore")
def test_damaged_and_hostile_archives_are_refused_or_read(tmp_path, attempts, tally, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # no attempt ends in a power cut
    counts = tally("damaged and hostile archives")
    for number in range(attempts(200, 20_000)):
        draw = random.Random(f"archive {number}")
        is_hostile = draw.random() < 0.3
        data = hostile(draw) if is_hostile else damaged(draw, draw.choice(WHOLE))
        folder = tmp_path / str(number % 50)
        path, unpacked = folder / "in" / "x.bin", folder / "unpacked"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        outcome, why = "wrong", ""
        try:
            with in_time():
                members = archives.members(path, LIMIT, unpacked)
                read = {member.name: member.read() for member in members}
            outcome, why = judged(read, not is_hostile and data[:2] == b"PK")
        except UserError as error:
            outcome, why = ("refused in one line", "") if "\n" not in str(error) else ("wrong", f"lines: {error}")
        except (Exception, Hanging) as error:
            why = repr(error)
        finally:
            archives.close_files()
        beside = {one.name for one in folder.rglob("*") if one.is_file()} - {"x.bin"}
        if any(not name.startswith(("x.bin-", ".x.bin-")) for name in beside):
            outcome, why = "wrong", f"it wrote {beside}"
        for one in unpacked.glob("*"):
            one.unlink()
        counts.count(outcome)
        if why:
            print(f"attempt {number}: {why}")
    assert counts.harm == 0


def judged(read, has_checksums):
    """The outcome where an archive was read: names stay within it, it holds no more than it may, checksums hold."""
    if bad := [name for name in read if leads_out(name)]:
        return "wrong", f"the name {bad[0]!r} was accepted"
    if sum(map(len, read.values())) > LIMIT:
        return "wrong", "it holds too much"
    if has_checksums and set(read.values()) - {content for _, content in FILES}:
        return "wrong", "other content was accepted"
    return "survived", ""
