"""Values that no person could mean are refused in one line, before anything is made or listed."""

import time
from datetime import date
from pathlib import Path

import pytest

from data.errors import UserError
from experiments.settings.config import load
from experiments.settings.overrides import parse

SHIPPED = Path(__file__).parents[3] / "params.yaml"
HUGE, INFINITY = 10**20, float("inf")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("vae.epochs", True, "should be a valid integer"),
        ("vae.batch", True, "should be a valid integer"),
        ("vae.shift", False, "should be a valid number"),
        ("vae.epochs", "3", "should be a valid integer"),
        ("vae.flip", 1, "should be a valid boolean"),
        ("vae.batch", HUGE, "less than or equal to 65536"),
        ("vae.labelled_batch", HUGE, "less than or equal to 65536"),
        ("vae.code_hidden", 10**12, "less than or equal to 4096"),
        ("vae.switch_hidden", 10**12, "less than or equal to 4096"),
        ("vae.draws", HUGE, "less than or equal to 1000"),
        ("vae.epochs", HUGE, "less than or equal to 100000"),
        ("vae.updates", HUGE, "less than or equal to 100000000"),
        ("vae.xi_factor", INFINITY, "should be a finite number"),
        ("vae.learning_rate", INFINITY, "should be a finite number"),
        ("vae.noise_learning_rate", INFINITY, "should be a finite number"),
        ("vae.weight_decay", INFINITY, "should be a finite number"),
        ("vae.precision", INFINITY, "should be a finite number"),
        ("systems.bsvm.gamma", INFINITY, "should be a finite number"),
        ("systems.pseudo.unlabelled_weight", INFINITY, "should be a finite number"),
        ("systems.tbsvm.marginalised_weight", INFINITY, "should be a finite number"),
        ("systems.tbsvm.marginalised_batch", HUGE, "less than or equal to 65536"),
        ("captions.units", HUGE, "less than or equal to 8192"),
        ("captions.caption_draws", HUGE, "less than or equal to 1000"),
        ("supervised.updates", HUGE, "less than or equal to 100000000"),
        ("profiles.default.repetitions", 10**9, "less than or equal to 1000"),
        ("profiles.default.repetitions", True, "should be a valid integer"),
        ("profiles.default.proportions", [-(10**38)], "must be a number above 0"),
        ("profiles.default.proportions", [10**400], "must be a number above 0"),
        ("profiles.default.proportions", [1e-30], "must be a number above 0"),
        ("profiles.default.xi", [-(10**38)], "must be auto or a number"),
        ("profiles.default.xi", [10**400], "a number of over 60 digits: must be auto or a number"),
        ("profiles.default.xi", [[]], "must be auto or a number"),
        ("dataset", ["mnist-5k"], "unknown dataset"),
        ("dataset", {"mnist-5k": 1}, "unknown dataset"),
        ("dataset", date(2020, 1, 1), "unknown dataset"),
        ("profiles.default.systems", [["bsvm"]], "unknown system"),
        ("profiles.default.systems", [None], "unknown system"),
        ("data.images", HUGE, "less than or equal to 10000000"),
        ("data.minimum_count", HUGE, "less than or equal to 1000000"),
        ("data.source", "a\x00b", "holds the character U+0000, which is not shown"),
        ("data.source", "a\u202eb", "holds the character U+202E, which is not shown"),
        ("data.word_vectors", "a\x1b[31mb", "holds the character U+001B"),
        ("tracking.uri", "http://host\n", "holds the character U+000A"),
        ("compute.workers", HUGE, "less than or equal to 10000"),
        ("compute.devices_per_trial", HUGE, "less than or equal to 1024"),
        ("compute.stack", True, "should be a valid integer"),
        ("compute.epoch_seconds", 1e10, "a number of seconds above 0, at most 31,622,400 (a year)"),
        ("compute.epoch_seconds", INFINITY, "a number of seconds above 0"),
        ("compute.gpus_per_trial", 1e-300, "a fraction of 1 from 0.001"),
        ("search.trials", HUGE, "less than or equal to 100000"),
        ("search.repetitions", [10**9], "less than 1000"),
        ("search.warm_start", HUGE, "less than or equal to 100000"),
        ("search.spaces.vae.learning_rate", {"low": 0.001, "high": 10**400}, "must be a number"),
        ("vae.architecture", 5, "should be a valid string"),
        ("vae.epoch", 3, "unknown key (did you mean epochs?)"),
        ("profile", "x\ny", r"profile = 'x\ny': unknown profile: known are default"),
    ],
)
def test_a_value_that_nobody_could_mean_is_refused(key, value, told):
    with pytest.raises(UserError) as refused:
        load(SHIPPED, {key: value})
    (line,) = str(refused.value).splitlines()
    assert f": {key}" in line
    assert told in line
    assert line.isprintable()
    assert len(line) < 700


@pytest.mark.parametrize("name", ["../a", "a/b", "", "a\nb", "a" * 65, ".hidden", "a\u202eb"])
def test_a_profile_has_a_name_that_files_may_have(name):
    profile = {"systems": ["bsvm"], "proportions": [0.1], "xi": [0], "repetitions": 1}
    with pytest.raises(UserError, match="must be a name of letters"):
        load(SHIPPED, {"profiles": {name: profile}, "profile": name})


def test_trials_are_counted_without_being_listed():
    profile = {"systems": ["bsvm"], "proportions": [i / 1000 for i in range(1, 1001)], "xi": list(range(1000))}
    with pytest.raises(
        UserError, match=r"profiles\.default = .*: asks for 1,000,000,000 trials, 1,000,000 are possible"
    ):
        load(SHIPPED, {"profiles.default": {**profile, "repetitions": 1000}})
    search = {"trials": 100_000, "proportions": [0.1, 0.2], "repetitions": list(range(100)), "spaces": {"vae": {}}}
    with pytest.raises(UserError, match=r"search = .*: asks for 20,000,000 trials"):
        load(SHIPPED, {"search": search})


def test_an_architecture_that_no_system_reads_is_checked_all_the_same():
    alone = {"profiles": {"default": {"systems": ["alexnet"], "proportions": [1], "xi": [0], "repetitions": 1}}}
    systems = {"alexnet": load(SHIPPED).settings["alexnet"].model_dump()}
    changes = {**alone, "systems": systems, "search": None, "dataset": "folder"}
    assert load(SHIPPED, changes).picture == (None, None)
    with pytest.raises(UserError, match=r"vae\.architecture = 'alex': unknown architecture"):
        load(SHIPPED, {**changes, "vae.architecture": "alex"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 2020-13-45", "month must be in 1..12"),
        (f"a: {'9' * 5000}", "4300"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: !!int x", "invalid literal"),
        ("a: !!float {}", ""),
        ("a: *b", "undefined alias"),
    ],
)
def test_a_text_that_yaml_cannot_read_is_one_line(tmp_path, text, told):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        load(path)
    assert len(str(refused.value).splitlines()) == 1
    assert told in str(refused.value)
    with pytest.raises(UserError, match="--set vae"):
        parse([f"vae={text.removeprefix('a: ')}"])


def test_a_value_that_holds_itself_many_times_over_is_shown_at_once(tmp_path):
    laughs = "".join(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 9)}]\n" for i in range(1, 40))
    path = tmp_path / "params.yaml"
    path.write_text(f"x0: &x0 [ha]\n{laughs}dataset: *x39\nprofile: &me [*me]\nprofiles: {{}}\nsystems: {{}}\n")
    started = time.process_time()
    with pytest.raises(UserError, match="mistakes"):
        load(path)
    assert time.process_time() - started < 20


def test_keys_are_shown_with_their_invisible_letters_written_out(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.read_text() + '"a\\eb\\u202e": 1\n')
    with pytest.raises(UserError, match=r"a\\x1bb\\u202e: unknown key"):
        load(path)
    with pytest.raises(UserError, match=r"with --set a\\x1bb: a\\x1bb: unknown key"):
        load(SHIPPED, {"a\x1bb": 1})


def test_what_is_missing_is_named_with_the_places_where_it_may_stand():
    shipped = load(SHIPPED).settings["neighbour"].model_dump(exclude={"arithmetic", "flip", "crop", "zoom"})
    with pytest.raises(UserError, match=r"systems\.neighbour\.zoom: is missing here and in vae"):
        load(SHIPPED, {"vae": {"shift": 1.0}, "systems": {"neighbour": shipped}})
    with pytest.raises(UserError, match="profile = 'default': unknown profile: section profiles has none"):
        load(SHIPPED, {"profiles": {}})


def test_a_key_that_is_no_text_is_named():
    with pytest.raises(UserError, match=r"params\.yaml with --set vae: vae: the key 3 should be text$"):
        load(SHIPPED, {"vae": {3: 1}})
    with pytest.raises(UserError, match="profiles: the key 3 should be text"):
        load(SHIPPED, {"profiles": {3: 1}})


def test_a_text_that_is_no_yaml_is_shown_with_its_invisible_letters_written_out():
    with pytest.raises(UserError, match=r"--set vae: '\|\\U000c2726' is not YAML: .* found '\\U000c2726'"):
        parse(["vae=|\U000c2726"])


def test_a_password_in_a_text_that_is_no_yaml_is_not_shown():
    with pytest.raises(UserError) as refused:
        parse(["search.storage=postgresql://me:secret@host/db: ["])
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "system"), [("vae.learning_rate", 0.03, "bsvm"), ("systems.alexnet.weight_decay", 5.0, "alexnet")]
)
def test_a_setting_by_hand_need_not_lie_in_the_space_of_a_search(key, value, system):
    config = load(SHIPPED, {key: value})
    with pytest.raises(UserError, match=rf"leaves out {value}, which {system} uses"):
        config.check_searchable(system)


def test_settings_in_use_that_a_choice_does_not_go_with_concern_a_search_alone():
    changes = {"vae.reading": "shared", "vae.estimator": "nvil"}
    space = {"search.spaces.vae.estimator": {"choices": ["nvil", "exact"]}}
    config = load(SHIPPED, {**changes, **space})
    with pytest.raises(UserError, match="estimator 'exact' cannot serve reading 'shared'"):
        config.check_searchable("bsvm")


def test_whole_numbers_and_others_keep_their_types():
    config = load(SHIPPED, {"vae.shift": 3, "profiles.default.proportions": [1]})
    shift = config.settings["bsvm"].model_dump()["shift"]
    assert (shift, type(shift)) == (3.0, float)
    assert type(config.settings["bsvm"].model_dump()["epochs"]) is int
