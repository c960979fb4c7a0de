"""Which code made a result, where git says so and where it does not."""

import json
import os
import subprocess

import pytest

from experiments import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one commit, whose folder holds what stands for the code."""
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@host"]
    (tmp_path / "package").mkdir()
    (tmp_path / "package/code.py").write_text("1\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "package/code.py"))
    monkeypatch.delenv(provenance.REVISION, raising=False)
    _forget()
    yield tmp_path
    _forget()


def _forget():
    provenance.revision.cache_clear()
    provenance._git.cache_clear()


def test_a_checkout_says_its_commit_and_whether_files_differ(checkout):
    assert len(provenance.revision()["git_sha"]) == 40
    assert provenance.revision()["git_dirty"] is False
    assert provenance.unknown_revision() == ""
    (checkout / "package/code.py").write_text("2\n")
    _forget()
    assert provenance.revision()["git_dirty"] is True


def test_a_checkout_of_another_user_is_not_called_clean(checkout, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert provenance.revision() == {"git_sha": "unknown", "git_dirty": None}
    why = provenance.unknown_revision()
    assert "dubious ownership" in why
    assert f"git config --global --add safe.directory {checkout}`" in why
    assert "\n" not in why


def test_without_git_the_revision_is_unknown(checkout, monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    assert provenance.revision() == {"git_sha": "unknown", "git_dirty": None}
    assert "git" in provenance.unknown_revision()


@pytest.mark.usefixtures("checkout")
def test_code_that_was_sent_brings_its_revision(monkeypatch):
    monkeypatch.setenv(provenance.REVISION, '{"git_sha": "abc", "git_dirty": true}')
    assert provenance.revision() == {"git_sha": "abc", "git_dirty": True}
    assert provenance.unknown_revision() == ""


def test_a_trial_says_once_that_its_revision_is_unknown(world, main, monkeypatch):
    monkeypatch.setattr(
        provenance, "_git", lambda *arguments: (None, "fatal: detected dubious ownership in repository")
    )
    provenance.revision.cache_clear()
    try:
        code, out, _ = main("trial", "--system", "toy", "--proportion", "0.1")
        assert code == 0
        assert out.count("detected dubious ownership") == 1
        (result,) = world.store.glob("*/result.json")
        assert json.loads(result.read_text())["git_dirty"] is None
    finally:
        provenance.revision.cache_clear()
