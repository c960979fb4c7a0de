"""A release of Optuna that changes what a study relies on is noticed here."""

import optuna
import pytest
from optuna.storages import RDBStorage

from experiments.search.optuna_internals import enqueued_params


@pytest.fixture
def study(tmp_path):
    """A study in a file whose first setting was enqueued; the second one is drawn."""
    storage = RDBStorage(f"sqlite:///{tmp_path}/studies.db")
    made = optuna.create_study(storage=storage, study_name="one", sampler=optuna.samplers.RandomSampler(seed=0))
    made.enqueue_trial({"rate": 0.5})
    for _ in range(2):
        made.ask().suggest_float("rate", 0.0, 1.0)
    return made, storage


def test_a_study_tells_which_settings_were_enqueued(study):
    given, drawn = study[0].get_trials()
    assert enqueued_params(given) == {"rate": 0.5} == given.params
    assert enqueued_params(drawn) is None


def test_a_setting_that_was_left_running_is_taken_up_again_by_its_number(study):
    made, storage = study
    name = storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name("one"), 1)
    again = optuna.trial.Trial(made, name)
    assert (again.number, again.params) == (1, made.get_trials()[1].params)
    made.tell(again, 1.0)
    assert made.get_trials()[1].state.is_finished()
