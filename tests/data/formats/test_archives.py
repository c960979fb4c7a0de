"""Archives made by tarfile and zipfile, then damaged."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
from multiprocessing.pool import ThreadPool

import pytest

from data.errors import UserError
from data.formats import archives

FILES = {"a/one.jpg": b"1" * 700, "a/two.jpg": bytes(range(256)) * 9, "b/empty.jpg": b""}
LIMIT = sum(map(len, FILES.values()))


def tar_of(files, **changes):
    """A tar; `changes` are attributes of each of its members, for example a type."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for attribute, value in changes.items():
                setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(files, kind=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=kind)
    return out.getvalue()


def stored_zip_of(files):
    return zip_of(files, zipfile.ZIP_STORED)


def gzip_of(files):
    return gzip.compress(tar_of(files))


PACKERS = {"x.tar": tar_of, "x.tar.gz": gzip_of, "x.tgz": gzip_of, "x.zip": zip_of, "y.zip": stored_zip_of}


@pytest.fixture
def listed(tmp_path):
    """Lists the members of an archive with these bytes."""

    def list_(data, name="x.bin", limit=LIMIT):
        (tmp_path / name).write_bytes(data)
        return archives.members(tmp_path / name, limit, tmp_path / "unpacked")

    return list_


@pytest.mark.parametrize("name", PACKERS)
def test_every_member_is_read_as_it_was_written_in_any_order_by_any_process(listed, name):
    found = listed(PACKERS[name](FILES), name)
    assert [place.name for place in found] == list(FILES)
    for place in pickle.loads(pickle.dumps([*reversed(found), *found])):
        assert place.read() == FILES[place.name]
    with ThreadPool(4) as pool:
        assert pool.map(lambda place: place.read(), found * 50) == list(FILES.values()) * 50


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_only_a_compressed_tar_takes_space_and_it_is_unpacked_once(listed, tmp_path, pack, monkeypatch):
    listed(pack(FILES))
    assert not (tmp_path / "unpacked").exists()
    listed(gzip_of(FILES), "x.tar.gz")
    (copy,) = (tmp_path / "unpacked").glob("*.tar")
    assert copy.read_bytes() == tar_of(FILES)
    with monkeypatch.context() as patch:
        patch.setattr(gzip, "GzipFile", None)
        assert len(archives.members(tmp_path / "x.tar.gz", LIMIT, tmp_path / "unpacked")) == len(FILES)
    # other bytes under the same name are another archive
    assert [place.name for place in listed(gzip_of({"new.jpg": b"new"}), "x.tar.gz")] == ["new.jpg"]


def test_a_file_that_took_the_place_of_another_is_read_and_files_are_closed(listed, tmp_path):
    (place,) = listed(tar_of({"a": b"old"}))
    assert place.read() == b"old"
    (tmp_path / "new").write_bytes(tar_of({"a": b"new"}))
    (tmp_path / "new").replace(tmp_path / "x.bin")
    assert place.read() == b"new"
    archives.close_files()
    (tmp_path / "x.bin").unlink()
    with pytest.raises(UserError, match=r"cannot read .*x\.bin"):
        place.read()


def test_many_archives_keep_few_files_open(listed, monkeypatch):
    places = [listed(tar_of({"a": bytes([number])}), f"{number}.tar")[0] for number in range(20)]
    for _ in range(2):
        assert [place.read() for place in places] == [bytes([number]) for number in range(20)]
    assert len(archives._kept.files) == archives.OPEN_FILES
    archives.close_files()


@pytest.mark.parametrize("pack", [tar_of, gzip_of, zip_of])
def test_folders_and_what_systems_leave_behind_are_passed_over(listed, pack):
    left = ["__MACOSX/a/._one.jpg", "a/._one.jpg", "a/.DS_Store", ".DS_Store", "b/Thumbs.db", "__MACOSX/x"]
    found = listed(pack({**dict.fromkeys(left, b""), **FILES, "my__MACOSX/x": b"", "a/not._x": b""}))
    assert [place.name for place in found] == [*FILES, "my__MACOSX/x", "a/not._x"]
    folder = zip_of({"a/": b"", **FILES}) if pack is zip_of else tar_of({"a": b""}, type=tarfile.DIRTYPE)
    assert [place.name for place in listed(folder)] == (list(FILES) if pack is zip_of else [])


def test_names_are_told_without_dots_in_them(listed):
    assert [place.name for place in listed(tar_of({"./a//b/./c.jpg": b""}))] == ["a/b/c.jpg"]


def test_an_archive_in_an_archive(listed, tmp_path):
    for pack, copies in ((tar_of, 0), (gzip_of, 1)):
        (outer,) = listed(tar_of({"n01.tar": pack(FILES)}), limit=1 << 20)
        found = archives.inner(outer, LIMIT, tmp_path / "unpacked")
        assert {place.name: place.read() for place in found} == FILES
        assert len(list((tmp_path / "unpacked").glob("n01.tar-*.tar"))) == copies
    for pack in (tar_of, gzip_of):
        (outer,) = listed(zip_of({"deep/101.tar.gz": pack(FILES)}), limit=1 << 20)
        found = archives.inner(outer, LIMIT, tmp_path / "unpacked")
        assert {place.name: place.read() for place in found} == FILES


def test_an_inner_tar_goes_no_further_than_its_member(listed, tmp_path):
    whole = tar_of(FILES)
    ended = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    for length in (ended, ended - 512, 900):  # no end mark, a header too few, half a member: others follow each
        outer, _ = listed(tar_of({"n01.tar": whole[:length], "n02.tar": whole}), limit=1 << 20)
        with pytest.raises(UserError, match=r"x\.bin, member 'n01\.tar'.*truncated"):
            archives.inner(outer, LIMIT, tmp_path / "unpacked")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "C:/x", "C:x", "a\\..\\..\\x", "\\\\host\\x", "..", "a/.."]
)
@pytest.mark.parametrize("pack", [tar_of, gzip_of, zip_of])
def test_names_that_lead_out_are_refused(listed, pack, name, tmp_path):
    with pytest.raises(UserError, match=r"x\.bin: the name of its member .* leads out"):
        listed(pack({"good": b"", name: b"x"}))
    assert {path.name for path in tmp_path.iterdir()} <= {"x.bin", "unpacked"}


def test_a_name_with_a_zero_byte_is_refused(listed):
    data = zip_of({"aQb.jpg": b"x"}).replace(b"aQb.jpg", b"a\0b.jpg")
    with pytest.raises(UserError, match=r"member 'a\\x00b.jpg' leads out"):
        listed(data)


@pytest.mark.parametrize(
    "type_",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_links_devices_and_files_with_holes_are_refused(listed, type_):
    with pytest.raises(UserError, match=r"x\.bin, member 'l': it is a link, a device"):
        listed(tar_of({"l": b""}, type=type_, linkname="/etc/passwd"))


def test_links_in_a_zip_are_refused(listed):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("l")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match=r"x\.bin, member 'l': it is a link"):
        listed(out.getvalue())


@pytest.mark.parametrize("pack", [tar_of, gzip_of, zip_of])
def test_more_bytes_than_allowed_are_refused_by_what_is_announced(listed, pack):
    listed(pack(FILES), limit=LIMIT)
    with pytest.raises(UserError, match=r"x\.bin: it holds more than the 3,003 bytes"):
        listed(pack(FILES), limit=LIMIT - 1)
    hidden = {**FILES, "a/.DS_Store": b"x"}  # what is passed over counts
    with pytest.raises(UserError, match="it holds more than"):
        listed(pack(hidden), limit=LIMIT)


def test_a_gzip_bomb_is_stopped_while_it_is_unpacked_and_leaves_nothing(listed, tmp_path):
    bomb = gzip.compress(bytes(1 << 25), compresslevel=1)
    with pytest.raises(UserError, match=r"x\.bin: it holds more than the 1,000 bytes"):
        listed(bomb, limit=1000)
    written = [path for path in (tmp_path / "unpacked").rglob("*") if not path.name.endswith(".lock")]
    assert written == []


def lying(size, really=100_000):
    """Returns a zip with one member of zeros, whose headers both announce another size."""
    data = bytearray(zip_of({"bomb": bytes(really)}))
    struct.pack_into("<I", data, 22, size)
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, size)
    return bytes(data)


def test_a_member_that_lies_about_its_size_is_stopped(listed):
    for size, message in ((10, "more than 10 bytes"), (200_000, "less than 200000 bytes")):
        (place,) = listed(lying(size), limit=200_000)
        with pytest.raises(UserError, match=rf"x\.bin, member 'bomb': it holds {message}"):
            place.read()


def test_a_zip_bomb_is_not_inflated(listed):
    (place,) = listed(lying(10, really=1 << 25))
    tracemalloc.start()
    with pytest.raises(UserError, match="more than 10 bytes"):
        place.read()
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_encrypted_members_and_unknown_compression_are_refused(listed):
    data = bytearray(zip_of({"secret": b"x"}))
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(UserError, match=r"member 'secret': it is encrypted"):
        listed(bytes(data))
    with pytest.raises(UserError, match=r"member 'b': it is compressed in a way"):
        listed(zip_of({"b": b"x"}, zipfile.ZIP_BZIP2))


@pytest.mark.parametrize("pack", [tar_of, gzip_of, zip_of])
def test_two_members_of_one_name_are_refused(listed, pack):
    data = pack({"a/1": b"x", "a/2": b"y"})
    if pack is gzip_of:
        data = gzip.compress(tar_of({"a/1": b"x", "./a/1": b"y"}))
    elif pack is tar_of:
        data = tar_of({"a/1": b"x", "./a/1": b"y"})
    else:
        data = data.replace(b"a/2", b"a/1")
    with pytest.raises(UserError, match=r"x\.bin: two of its members are named 'a/1'"):
        listed(data)


@pytest.mark.parametrize("name", PACKERS)
@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.8, 0.95])
def test_a_truncated_archive_is_named_and_never_taken_for_whole(listed, tmp_path, name, share):
    whole = PACKERS[name](FILES)
    if name == "x.tar":
        whole = whole[: len(whole.rstrip(b"\0")) + 100]  # the padding alone tells nothing
    with pytest.raises(UserError, match=rf"{name}.*(truncated|not a whole)") as caught:
        listed(whole[: int(share * len(whole))], name)
    assert "python -m data download" in str(caught.value) or "truncated" in str(caught.value)
    assert not list(tmp_path.glob("unpacked/[!.]*"))


@pytest.mark.parametrize(
    "data", [b"<html>404 not found</html>" * 50, b"", b"PK\3\4nothing", bytes(100), b"\x1f\x8bxxxxxxxx" * 9]
)
def test_what_is_no_archive_is_named(listed, data):
    with pytest.raises(UserError, match=r"x\.bin"):
        listed(data)


def test_a_damaged_header_in_the_middle_ends_no_listing(listed):
    data = bytearray(tar_of(FILES))
    data[1536 + 5] ^= 1  # in the name of the second member: its checksum is wrong
    with pytest.raises(UserError, match=r"x\.bin: it is truncated or corrupt"):
        listed(bytes(data))


def test_headers_with_absurd_values_are_found_out(listed):
    data = bytearray(tar_of({"a": b""}, type=tarfile.XHDTYPE))
    data[124:136] = b"\x80" + b"\x7f" * 11  # its size, in base 256
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))
    with pytest.raises(UserError, match=r"x\.bin: it is not a whole"):
        listed(bytes(data))
    data = bytearray(zip_of({"a": b"x"}))
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 42, 5000)  # where its local header is
    with pytest.raises(UserError, match=r"x\.bin, member 'a': .* outside of the archive"):
        listed(bytes(data))
    with pytest.raises(UserError, match=r"x\.bin: the name of its member '' leads out"):
        listed(tar_of({"": b"x"}))


def test_damaged_bytes_of_a_zip_are_found_out(listed):
    for pack in (zip_of, stored_zip_of):
        data = bytearray(pack({"a": bytes(range(256)) * 4}))
        data[60] ^= 0xFF
        (place,) = listed(bytes(data))
        with pytest.raises(UserError, match=r"x\.bin, member 'a'"):
            place.read()


def test_a_member_that_is_not_where_it_should_be_is_found_out(listed):
    data = bytearray(zip_of({"a": b"x" * 40}))
    data[:4] = b"PK\3\5"
    data = b"PK\5\6" + bytes(18) + bytes(data)  # something else in front of it
    (place,) = listed(data)
    with pytest.raises(UserError, match="is not where it should be"):
        place.read()
