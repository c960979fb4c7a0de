"""results.csv in, typed frame out, or one message that says what is wrong where."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from reports.errors import UserError
from reports.inputs.results import COLUMNS, read_results


def test_every_row_comes_back_with_its_type(sweep_files):
    results = read_results(sweep_files.results)
    assert len(results) == len(sweep_files.rows) == 46
    assert results["seed"].dtype == results["epochs"].dtype == "Int64"
    assert results["top1"].dtype == results["xi_value"].dtype == "float64"
    by_id = results.set_index("trial_id")
    for row in sweep_files.rows:
        read = by_id.loc[row["trial_id"]]
        assert (read["system"], read["proportion"], read["status"]) == (row["system"], row["proportion"], row["status"])
        assert pd.isna(read["top1"]) if row["top1"] == "" else read["top1"] == row["top1"]


def test_xi_is_canonical_and_rows_are_sorted(sweep_files):
    results = read_results(sweep_files.results)
    assert set(results["xi"]) == {"", "auto", "0", "1", "10"}  # written as 0.0, 1.0, 10.0
    grid = results[["system", "proportion", "xi", "seed"]]
    assert list(grid.itertuples(index=False)) == sorted(grid.itertuples(index=False))


def test_further_columns_are_kept(sweep_files, tmp_path):
    raw = pd.read_csv(sweep_files.results, dtype=str, keep_default_na=False).assign(bleu="0.5")
    raw.to_csv(tmp_path / "results.csv", index=False)
    assert set(read_results(tmp_path / "results.csv")["bleu"]) == {"0.5"}


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("proportion", "1.5", "line 2: proportion 1.5 is outside (0, 1]"),
        ("proportion", "0", "is outside (0, 1]"),
        ("proportion", "", "proportion '' is empty"),
        ("proportion", "a few", "proportion 'a few' is not a number"),
        ("seed", "0.5", "is not a whole number"),
        ("status", "running", "status 'running' is none of done, failed, missing"),
        ("xi", "automatic", "xi 'automatic' is neither \"auto\" nor a number ≥ 0"),
        ("xi", "-1", "xi '-1' is neither"),
        ("xi", "nan", "xi 'nan' is neither"),
        ("top1", "", "top1 nan is not a percentage"),
        ("top1", "101", "top1 101.0 is not a percentage"),
        ("top1", "inf", "top1 'inf' is not a number"),
        ("top1", "-3", "top1 -3.0 is not a percentage"),
        ("top5", "0.5", "top5 0.5 is below top1"),
        ("seed", "1e308", "seed '1e308' is too large"),
        ("seed", "-1", "seed -1 is below 0"),
        ("labelled", "1e308", "labelled '1e308' is too large"),
        ("labelled", "9007199254740994", "is too large"),
        ("elbo", "1e400", "elbo '1e400' is too large"),
        ("train_seconds", "-1", "train_seconds -1.0 is below 0"),
        ("epochs", "1_000", "epochs '1_000' is not a number"),
        ("xi", "1e308", "xi '1e308' is neither"),
        ("xi", "inf", "xi 'inf' is neither"),
        ("xi", "1", "xi '' is empty where other trials of its system have one"),
        ("proportion", "0.0100000001", "line 3: proportion 0.01 reads like another one in percent: round them"),
        ("trial_id", "a b", "trial_id 'a b' has more than letters, digits"),
        ("system", "a\u202eb", "has a character that cannot be seen"),
        ("system", "x" * 201, "is longer than 200 characters"),
        ("dataset", "cifar-10", "mixes the datasets"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(sweep_files, tmp_path, column, value, expected):
    raw = pd.read_csv(sweep_files.results, dtype=str, keep_default_na=False)
    raw.loc[0, column] = value
    raw.to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(UserError) as caught:
        read_results(tmp_path / "results.csv")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_lines_of_windows_and_blank_lines_are_no_mistakes(sweep_files, tmp_path):
    content = sweep_files.results.read_bytes()
    path = tmp_path / "results.csv"
    path.write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n\r\n", 3))
    pd.testing.assert_frame_equal(read_results(path), read_results(sweep_files.results))
    path.write_bytes(path.read_bytes().replace(b"done", b"gone", 1))
    with pytest.raises(UserError, match="line 3: status 'gone'"):  # counted as an editor does
        read_results(path)


def test_more_than_a_report_can_show_is_refused_before_it_is_computed(sweep_files, tmp_path):
    raw = pd.read_csv(sweep_files.results, dtype=str, keep_default_na=False).iloc[[0]]
    many = pd.concat([raw.assign(seed=str(seed), trial_id=f"t{seed}") for seed in range(201)])
    many.to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(UserError, match="has 201 repetitions, and a report shows 200 at most"):
        read_results(tmp_path / "results.csv")
    with (tmp_path / "results.csv").open("a") as file:
        file.write(("1" + "," * (len(raw.columns) - 1) + "\n") * 100_000)
    with pytest.raises(UserError, match="more than 100,000 rows"):
        read_results(tmp_path / "results.csv")


def test_a_pipe_or_a_folder_is_no_table(tmp_path):
    os.mkfifo(tmp_path / "results.csv")
    for path in (tmp_path / "results.csv", tmp_path):
        with pytest.raises(UserError, match="is no ordinary file"):
            read_results(path)


def test_a_trial_listed_twice_is_refused(sweep_files, tmp_path):
    raw = pd.read_csv(sweep_files.results, dtype=str, keep_default_na=False)
    pd.concat([raw, raw.iloc[[3]]]).to_csv(tmp_path / "same-id.csv", index=False)
    with pytest.raises(UserError, match=r"line 48: trial_id .* is there twice"):
        read_results(tmp_path / "same-id.csv")
    pd.concat([raw, raw.iloc[[3]].assign(trial_id="0" * 16)]).to_csv(tmp_path / "same-point.csv", index=False)
    with pytest.raises(UserError, match="repeats the grid point"):
        read_results(tmp_path / "same-point.csv")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (",".join(COLUMNS).encode() + b"\n", "no trials"),
        (b"trial_id,dataset,system\n1,2,3\n", "lacks the column(s) proportion, xi, seed"),
        (b'a,b\n1,2\n3,"4', "cannot be read as CSV"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 has 3 values, its header 2 columns"),
        (b"\xff\xfe\x00\x01", "cannot be read as CSV"),
        (b"a,b,a\n1,2,3\n", "has the column 'a' twice"),
        (b"a;b\n1;2\n", "separated by semicolons or tabs"),
    ],
)
def test_an_unusable_file_is_one_message_with_a_remedy(tmp_path, content, expected):
    path = tmp_path / "results.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_results(path)
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert "python -m experiments run" in str(caught.value)
