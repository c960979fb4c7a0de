"""Emoji out of two npm packages: their captions and parts, and how the packages are fetched."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import catalog
from data.errors import UserError
from data.formats.archives import members
from data.formats.contract import Pictures
from data.formats.emoji import captions, group, read
from data.labelled.splits import Splits, split
from data.official import packages
from data.official.download import download
from data.official.mirrors import from_mirrors
from data.official.partial_files import Stopped
from data.prepared.prepare import prepare
from data.tokens import words
from tests.data import official_files as official

EMOJI = catalog.get("emoji")

# --- what they are called ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "short", "kind", "expected"),
    [
        ("GRINNING FACE", ["grinning"], "", ("grinning face", "grinning")),
        ("WOMAN: BEARD", ["woman_with_beard"], "", ("woman beard", "woman with beard")),
        ("FAMILY: MAN, BOY", ["man-boy"], "", ("family man boy", "man boy")),
        ("HEART HANDS", ["heart_hands"], "", ("heart hands",)),
        ("THUMBS UP SIGN", ["+1", "thumbsup"], "", ("thumbs up sign", "thumbsup")),
        ("CLOCK FACE ONE-THIRTY", ["clock130"], "", ("clock face one thirty",)),
        ("SQUARED CJK UNIFIED IDEOGRAPH-7A7A", ["u7a7a"], "", ("squared cjk unified ideograph",)),
        ("KEYCAP: *", ["keycap_star"], "keycap", ("keycap", "keycap star")),
        ("KEYCAP 7", ["seven"], "keycap", ("keycap 7", "seven")),
        ("Antigua & Barbuda Flag", ["flag-ag"], "country-flag", ("antigua and barbuda flag",)),
        ("Côte d’Ivoire Flag", ["flag-ci"], "country-flag", ("côte d'ivoire flag",)),
        ("Cocos (Keeling) Islands Flag", ["flag-cc"], "country-flag", ("cocos keeling islands flag",)),
        ("England Flag", ["flag-england"], "subdivision-flag", ("england flag",)),
        ("RAINBOW FLAG", ["rainbow-flag"], "flag", ("rainbow flag",)),
    ],
)
def test_names_are_plain_words(name, short, kind, expected):
    assert captions(name, short, kind) == expected


@given(
    st.text("ABC dé:-_&,0+’", min_size=1),
    st.lists(st.text("abc_-+12", min_size=1), max_size=4),
)
def test_captions_are_words_alone_and_none_is_said_twice(name, short):
    made = captions(name, short, "")
    assert len(set(made)) == len(made)
    for caption in made:
        assert caption == " ".join(words(caption)) != ""


# --- which part they are in ----------------------------------------------------------------------------------------


def contents(tmp_path, change=lambda row: row):
    row = change(official.make("emoji", tmp_path))
    (tmp_path / "unpacked").mkdir(exist_ok=True)
    return read(row, {file.role: tmp_path / file.name for file in row.files}, tmp_path / "unpacked")


def drawings(found, part):
    """Returns the vendor and file of every picture of a part."""
    pictures = [picture for shard in found.shards if shard.part == part for picture in shard.pictures]
    return [tuple(picture.place.name.split("/")[i] for i in (2, 4)) for picture in pictures]


def test_parts_share_what_the_protocol_says_and_nothing_else(tmp_path):
    found = contents(tmp_path)
    assert all(isinstance(shard, Pictures) for shard in found.shards)
    train, validation, test = (drawings(found, part) for part in ("train", "validation", "test"))
    assert {vendor for vendor, _ in train + validation} == {"google"}
    assert {vendor for vendor, _ in test} == {"twitter"}
    learned, chosen, tested = ({file for _, file in part} for part in (train, validation, test))
    assert learned <= tested
    assert not chosen & (learned | tested)
    unseen = tested - learned
    assert unseen
    assert chosen
    assert {group(file.removesuffix(".png")) for file in unseen} == {"test"}
    assert {group(file.removesuffix(".png")) for file in chosen} == {"validation"}
    assert {group(file.removesuffix(".png")) for file in learned} == {"train"}
    assert all(len(set(part)) == len(part) for part in (train, validation, test))


def test_groups_are_tenths_that_depend_on_code_points_alone():
    groups = [group(f"{number:X}") for number in range(0x1F000, 0x1F000 + 4000)]
    assert 350 < groups.count("validation") < 450
    assert 350 < groups.count("test") < 450
    assert group("1f1ea-1f1ec") == group("1F1EA-1F1EC")
    assert [group(one) for one in ("1F600", "1F431", "1F1EA-1F1EC", "2764-FE0F")] == [
        "test",
        "train",
        "train",
        "train",
    ]


def test_the_row_s_numbers_agree():
    # Twitter's test drawings are of what was trained on and of what was not
    train = EMOJI.images - EMOJI.validation - EMOJI.test
    unseen = EMOJI.test - train
    emoji = train + EMOJI.validation + unseen
    assert emoji == 1_906
    assert all(0.08 < one / emoji < 0.12 for one in (EMOJI.validation, unseen))


def test_a_word_is_known_that_comes_as_often_as_the_row_says(tmp_path):
    row = official.make("emoji", tmp_path / "official")
    download(row, tmp_path, tmp_path / "official")
    prepare(row, tmp_path)
    assert split(row, 1, tmp_path)
    splits = Splits.open(tmp_path / "splits" / "emoji")
    assert splits.vocabulary.minimum == EMOJI.minimum_count == row.minimum_count == 2
    known = splits.vocabulary.words[2:]
    assert "dog" in known
    assert not [word for word in known if word.isdecimal()]  # each of them comes once
    assert not split(replace(row, minimum_count=9), 1, tmp_path, minimum=2)
    assert split(row, 1, tmp_path, minimum=3)
    assert split(row, 1, tmp_path)  # the row's own number again


# --- packages that are not as they should be -----------------------------------------------------------------------


def changed(tmp_path, content):
    """Returns the error message for Google's package with another emoji.json."""
    row = official.make("emoji", tmp_path)
    inside = {
        member.name: member.read() for member in members(tmp_path / row.files[0].name, row.files[0].unpacked, tmp_path)
    }
    inside["package/emoji.json"] = content
    official._file("google", row.files[0].name, official._gzipped(official._tar(inside)), 0, tmp_path)
    files = tuple(replace(file, unpacked=file.unpacked + len(content)) for file in row.files)
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(UserError) as error:
        read(replace(row, files=files), {file.role: tmp_path / file.name for file in row.files}, tmp_path / "unpacked")
    return str(error.value)


ENTRY = {
    "name": "CAT", "unified": "1F610", "image": "1f610.png", "short_names": [], "category": "", "subcategory": "",
    "has_img_google": True, "has_img_twitter": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[", "emoji.json: it is not a list of emoji"),
        (b'[{"name": "CAT"}]', "it is not a list of emoji .KeyError: 'unified'"),
        (b"[1]", "it is not a list of emoji .TypeError"),
        (json.dumps([ENTRY | {"name": None}]).encode(), "it is not a list of emoji"),
        (json.dumps([ENTRY | {"name": ":"}]).encode(), "1F610: it has no name"),
        (b"[]", "has no emoji for the train part: it is not the whole package"),
    ],
)
def test_a_wrong_list_is_told(tmp_path, content, message):
    assert re.search(message, changed(tmp_path, content))


def test_other_numbers_than_the_catalog_s_are_told(tmp_path):
    with pytest.raises(UserError, match=r"google-16.0.0.tgz has \d+ images, emoji has 999"):
        contents(tmp_path, lambda row: replace(row, images=999))


# --- npm -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def row(tmp_path):
    """The catalog row of small packages that only npm has."""
    made = official.make("emoji", tmp_path / "official")
    files = tuple(replace(file, mirrors=(f"npm:emoji-datasource-{file.role}@16.0.0/",)) for file in made.files)
    return replace(made, files=files, manual="")


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Puts a program `npm` with these lines of shell before all others on PATH; it notes what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(lines):
        path = folder / "npm"
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\npwd >> {tmp_path}/where\n{lines}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return put


def whole(tmp_path):
    return f'cp {tmp_path}/official/"$(echo $2 | tr @ -)".tgz .'


def test_packages_come_by_npm_without_their_scripts(row, npm, tmp_path):
    npm(whole(tmp_path))
    assert {path.name for path in download(row, tmp_path)} == {file.name for file in row.files}
    asked = (tmp_path / "asked").read_text().splitlines()
    assert {line.split()[1] for line in asked} == {"emoji-datasource-google@16.0.0", "emoji-datasource-twitter@16.0.0"}
    assert all(line.startswith("pack ") and "--ignore-scripts" in line for line in asked)
    # It ran in folders of its own, which are gone, and kept its cache there: HOME may not be writable.
    places = (tmp_path / "where").read_text().split()
    caches = [line.partition("--cache=")[2].split()[0] for line in asked]
    assert sorted(caches) == sorted(f"{place}/cache" for place in places)
    assert len(set(places)) == 2
    assert not any(os.path.exists(place) for place in places)
    assert download(row, tmp_path) == []
    assert prepare(row, tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "echo 'npm error code ENOTFOUND' >&2; echo 'npm error syscall getaddrinfo' >&2;"
            "echo 'npm error network request to the registry failed' >&2; exit 1",
            "npm failed (network request to the registry failed): it needs the network, or name a folder that holds "
            "emoji-datasource-google-16.0.0.tgz with --source",
        ),
        ("echo 'npm ERR! 404 Not Found' >&2; exit 1", "npm failed (404 Not Found)"),
        ("exit 7", "npm failed (exit code 7)"),
        ("exit 0", "`npm pack emoji-datasource-google@16.0.0` made no file emoji-datasource-google-16.0.0.tgz"),
        ("echo other > emoji-datasource-google-16.0.0.tgz", "the checksum of what it sends is wrong"),
    ],
)
def test_npm_that_fails_is_told(row, npm, tmp_path, lines, message):
    npm(lines)
    with pytest.raises(UserError) as error:
        download(row, tmp_path)
    assert f"npm:emoji-datasource-google@16.0.0/emoji-datasource-google-16.0.0.tgz: {message}" in str(error.value)
    assert "--source FOLDER" in str(error.value)
    assert not list((tmp_path / "raw").rglob("*.tgz"))


def test_a_package_longer_than_the_official_one_is_not_taken(row, npm, tmp_path):
    npm(f"{whole(tmp_path)}; for file in *.tgz; do echo more >> $file; done")
    with pytest.raises(UserError, match="the checksum of what it sends is wrong"):
        download(row, tmp_path)


def test_without_npm_the_message_says_what_to_do(row, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"npm is not installed: install it .*Node.js.*, or name a folder that holds"):
        download(row, tmp_path)
    assert {path.name for path in download(row, tmp_path, tmp_path / "official")} == {file.name for file in row.files}


def test_npm_has_a_limit_of_time(row, npm, tmp_path, monkeypatch):
    npm("sleep 60")
    monkeypatch.setattr(packages, "SECONDS", 0.3)
    with pytest.raises(UserError, match="npm took longer than 0 s: try again, or name a folder"):
        download(row, tmp_path)


def test_npm_is_ended_when_the_user_stops(row, npm, tmp_path):
    npm(f"echo $$ > {tmp_path}/id; exec sleep 600")
    stop = threading.Event()

    def later():
        while not (tmp_path / "id").is_file() or not (tmp_path / "id").read_text():
            time.sleep(0.02)
        stop.set()

    folder = tmp_path / "raw" / "emoji"
    threading.Thread(target=later).start()
    with pytest.raises(Stopped):
        from_mirrors(row, row.files[0], folder, 0, stop)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "id").read_text()), 0)
