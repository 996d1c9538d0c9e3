from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.errors import UserError
from analysis.report.case import epoch_groups
from analysis.report.fit_groups import fit_groups
from analysis.report.headlines import Headline, answer, headlines
from analysis.report.html import law_row
from analysis.report.law_figures import group_figures
from analysis.report.law_results import LawOptions
from analysis.report.page import Report, write_report
from analysis.report.summary import read_sweep, summarise
from analysis.report.tables.accuracy_table import result_table
from analysis.report.tables.law_tables import tables_of_laws
from analysis.table.read import load_table
from analysis.table.select import rows_where
from analysis.table.write import write_table
from tests.analysis import worlds
from tests.analysis.conftest import QUICK, SWEEP, troubled
from tests.analysis.worlds import OFF_CENTRE, World, write_results

MILESTONES = 5
"""Of a run, where a table has some."""


class Page(HTMLParser):
    """Collects what a page refers to and checks that its tags close."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, text):
        super().__init__()
        self.refers, self.open, self.text, self.ids = [], [], [], set()
        self.feed(text)
        assert {name[1:] for name in self.refers if name.startswith("#")} <= self.ids

    def handle_starttag(self, tag, attrs):
        self.refers += [value for name, value in attrs if name in ("src", "href")]
        self.ids |= {value for name, value in attrs if name == "id"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def data_of(page):
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page.read_text(), re.DOTALL)
    return json.loads(found[1])


def test_page_is_whole_and_needs_nothing_from_outside(written):
    text = written[1].page.read_text()
    page = Page(text)
    assert page.open == []
    files = [ref for ref in page.refers if not ref.startswith(("data:image/svg+xml;base64,", "#"))]
    assert {file.rpartition("/")[2] for file in files} == {"config.yaml", "log.jsonl"}
    assert all((written[1].page.parent / file).parent.is_dir() for file in files)
    assert not re.search(r"url\([^#]|@import|src=[^\"]|https?://(?!www\.w3\.org)", re.sub(r"base64,[^\"]*", "", text))


def test_page_says_what_was_asked_ran_failed_and_came_out(written):
    text = " ".join(Page(written[1].page.read_text()).text)
    for words in (
        "How does the loss fall with compute?",
        "C^-0.1 & N* < C",
        "scaling run sweep=quickstart",
        "44 finished",
        "out_of_memory: wanted 3 GB",
        "its record.json is damaged",
        "within two standard errors of the constant predictor",
        "cosine[warmup=0.05]",
        "multiply-add is 2 FLOPs",
        "2 isoFLOP, parabola",
        "chinchilla",
        "--law chinchilla",
    ):
        assert words in text, words


def test_a_notebook_shows_its_headlines_as_text():
    line = Headline("best size grows as", "C<sup>0.465</sup>", "[0.4, 0.5]", "ok", "")
    shown = Report(Path("out/report.html"), (), (), (), (line,))._repr_html_()
    assert "best size grows as  C^0.465  [0.4, 0.5]  ok" in shown


def test_figures_are_data_too_and_name_their_runs(written):
    folder, report = written
    data = data_of(report.page)
    assert set(data["charts"]) == {picture.name for picture in report.pictures}
    chart = data["charts"]["loss_vs_compute"][0]
    runs = load_table(folder).set_index("run_id")
    drawn = {run: (x, y) for run, x, y in zip(*(chart["runs"][name] for name in ("id", "x", "y")), strict=True)}
    assert len(drawn) == 43  # 44 finished, of which one is at chance
    for run, (x, y) in drawn.items():
        assert (x, y) == pytest.approx((runs.loc[run, "C"], runs.loc[run, "loss"]), rel=1e-5)
    means = [
        place for mark in chart["marks"] if mark["k"] == "dots" for place in zip(mark["x"], mark["y"], strict=True)
    ]
    by_seed = load_table(folder).groupby(["N", "C"])["loss"].mean()
    assert {round(y, 4) for _, y in means} >= set(by_seed.dropna().head(3).round(4))
    assert chart["x"]["log"]
    assert chart["key"]["title"] == "weights N"
    assert len(chart["key"]["entries"]) == runs["N"].nunique()


def test_all_runs_are_listed_with_their_files(written):
    folder, report = written
    data = data_of(report.page)["runs"]
    assert len(data["ids"]) == 48
    assert {"N", "D", "loss", "seed", "status", "reason"} <= set(data["columns"])
    assert "optim" not in data["columns"]
    config = report.page.parent / data["folder"] / data["ids"][0]
    assert config.resolve() == (folder.parent / "runs" / data["ids"][0]).resolve()


def test_each_table_lies_beside_the_page_in_three_forms(written):
    folder, report = written
    names = set(data_of(report.page)["tables"])
    assert {"laws", "minima_loss", "optimum"} <= names
    assert all((folder / "tables" / f"{name}.{kind}").is_file() for name in names for kind in ("csv", "md", "tex"))
    minima = pd.read_csv(folder / "tables" / "minima_loss.csv")
    assert list(minima.columns)[:4] == ["budget (FLOPs)", "best N", "best N low", "best N high"]
    assert (minima["best N low"] < minima["best N"]).sum() >= 3
    assert minima["budget (FLOPs)"].tolist() == sorted(load_table(folder)["budget"].unique())
    assert len(pd.read_csv(folder / "tables" / "runs.csv")) == 48


def test_minima_that_bend_are_weak_on_their_card_too(written):
    report = written[1]
    told = '<a href="#optimum">Optimal sizes</a>. Exponents hold' in " ".join(report.page.read_text().split())
    assert told == any(line.status for line in report.headlines if line.what == "best size grows as")
    [group] = report.groups
    minima = group.minima["loss"]
    bent = replace(minima, N_law=replace(minima.N_law, bend="they bend"), reasons=("they bend",))
    [size] = [line for line in headlines([replace(group, minima={"loss": bent})]) if line.what == "best size grows as"]
    assert size.status == "weak"
    assert size.note.endswith("minima, which bend away from a power of C")
    isoflop = replace(group.allocation.approaches[1], status="ok", warnings=("one seed", "weak: they bend"))
    allocation = replace(group.allocation, approaches=(isoflop,))
    table = {one.name: one for one in tables_of_laws([replace(group, allocation=allocation)])}["optimum"]
    assert table.rows[0][-2:] == ("weak", "they bend")


def test_a_best_size_that_shrinks_is_not_said_to_grow(written):
    [group] = written[1].groups
    minima = group.minima["loss"]
    shrinking = replace(minima, N_law=replace(minima.N_law, exponent=-0.2))
    lines = headlines([replace(group, minima={"loss": shrinking})])
    assert [line.what for line in lines if "best size" in line.what] == ["best size shrinks as"]
    assert "and the best size shrinks as <b>C<sup>−0.200</sup>" in answer(lines)


def test_an_exponent_has_one_interval_and_one_sign(written):
    report = written[1]
    power = next(one.fit for one in report.groups[0].laws if (one.law, one.y, one.x) == ("power", "loss", "C"))
    low, high = power.intervals["alpha"]
    text = "".join(Page(report.page.read_text()).text).replace(" ", "")
    said = f"[{-high:.3f},{-low:.3f}]".replace("-", "−")
    assert report.headlines[0].interval.replace(" ", "") == said
    assert text.count(said) >= 3  # the answer, the card, the table of laws
    assert f"[{low:.3f},{high:.3f}]" not in text


@pytest.mark.slow
def test_learning_curves_where_runs_have_points(staged):
    data = data_of(staged[1].page)
    assert "learning" in data["charts"]
    assert all(len(curve["step"]) == MILESTONES for curve in data["curves"].values())


def test_files_beside_the_page(written):
    folder, report = written
    names = {picture.name for picture in report.pictures}
    assert {"loss_vs_compute", "loss_isoflop", "optimum", "error_vs_compute", "residuals"} <= names
    assert not (folder / "figures").exists()
    assert len(load_table(folder / "table.parquet")) == 48
    said = json.loads((folder / "fit.json").read_text())
    group = said["groups"][0]
    assert group["isoflop"]["loss"]["N_law"]["exponent"] == pytest.approx(World().exponent, abs=0.05)
    assert {law["fit"]["law"] for law in group["laws"] if law["fit"]} >= {"power", "chinchilla"}
    assert [line.what for line in report.headlines][:1] == ["best loss falls as"]
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_a_second_report_is_the_same_but_for_nothing(written, tmp_path):
    folder, report = written
    before = json.loads((folder / "fit.json").read_text())
    again = fit_groups(load_table(folder), QUICK)[0]
    assert json.loads(json.dumps(again[0].to_dict())) == before["groups"][0]
    assert report.refused == ()


def test_refusals_are_said_not_raised(tmp_path):
    few = worlds.isoflop(World(), widths=(8, 16), budgets=(1e9,), seeds=1)
    report = write_report(write_results(few, tmp_path), law_options=LawOptions(resamples=0))
    text = " ".join(Page(report.page.read_text()).text)
    assert "refused" in text
    assert report.page.exists()


@pytest.mark.slow
def test_a_table_with_words_among_its_numbers_is_a_report_too(tmp_path):
    table = worlds.small().drop(columns=["run_id"], errors="ignore").astype({"N": object, "C": object})
    table["C"] = [f"{C / 1e12:.12g} TFLOPs" for C in table["C"]]
    table.loc[3, "N"] = "mean"
    path = tmp_path / "theirs.csv"
    table.assign(State="Finished", seconds="n/a", batch=["8", "auto"] * (len(table) // 2)).to_csv(path, index=False)
    said = write_report(path, out=tmp_path / "out", law_options=LawOptions(0))
    assert "'N' holds 'mean'" in "".join(said.refused) + "".join(note for group in said.groups for note in group.notes)
    assert said.page.is_file()
    assert repr(said).startswith(f"<Report {said.page}: ")


def test_nothing_finished_is_a_report_too(tmp_path):
    table = worlds.isoflop(World(), widths=(8, 16), budgets=(1e9,), seeds=1).assign(status="missing")
    report = write_report(write_results(table, tmp_path), law_options=QUICK)
    text = " ".join(Page(report.page.read_text()).text)
    assert "2 runs missing" in text
    assert "No law is claimed" in text
    assert "Status of a law" not in text


@pytest.mark.slow
def test_a_frontier_of_edges_is_no_headline():
    wide = worlds.grid(World(A=0.5), (16, 64, 256), (1024, 2048, 4096, 8192), seeds=2)
    groups, _ = fit_groups(wide.assign(error=np.nan), LawOptions(resamples=0))
    assert groups[0].frontiers["loss"].share_at_edge > 2 / 3
    laws = [law for law in groups[0].laws if law.title == "best loss in C"]
    assert all(law.at_edges and law.status != "ok" for law in laws)
    lines = headlines(groups)
    assert not any("best loss" in line.what for line in lines)
    assert any("width 256" in line.what for line in lines)


@pytest.mark.slow
def test_an_exponent_that_is_hardly_known_is_no_headline():
    rng = np.random.default_rng(0)
    table = worlds.grid(World(), (64,), (1024, 2048, 4096, 8192, 16384), seeds=2).assign(error=np.nan)
    noisy = table.assign(loss=table["loss"].mean() * np.exp(0.3 * rng.standard_normal(len(table))))
    sure, unsure = (headlines(fit_groups(one, QUICK)[0]) for one in (table, noisy))
    assert any("width 64" in line.what and line.what.endswith("falls as") for line in sure)
    assert not any("width" in line.what for line in unsure)


@pytest.mark.slow
def test_edges_weaken_what_is_said(tmp_path):
    groups, _ = fit_groups(worlds.isoflop(OFF_CENTRE, seeds=1).assign(error=np.nan), LawOptions(resamples=0))
    assert any("edge" in text for text in groups[0].minima["loss"].warnings)
    assert groups[0].minima["loss"].N_law is None


def test_recipes_and_families_are_analysed_apart():
    table = worlds.isoflop(World(), widths=(8, 32), budgets=(1e9, 4e9), seeds=1).assign(error=np.nan)
    other = table.assign(family="bottleneck", run_id=table["run_id"] + "b", loss=table["loss"] * 0.9)
    third = table.assign(schedule="constant", run_id=table["run_id"] + "c")
    groups, refused = fit_groups(pd.concat([table, other, third]), LawOptions(resamples=0))
    assert refused == []
    assert len(groups) == 3
    assert all(group.rows["family"].nunique() == 1 and group.rows["schedule"].nunique() == 1 for group in groups)
    assert "family == 'bottleneck'" in groups[1].subset.where
    sizes = pd.concat([table, table.assign(batch=256, run_id=table["run_id"] + "d")])
    assert [group.subset.where for group in fit_groups(sizes, LawOptions(resamples=0))[0]] == [
        "batch == 128",
        "batch == 256",
    ]
    two = pd.concat([table.assign(lr_rule=k, run_id=table["run_id"] + k) for k in ("1e-3", "<b>2e-3</b>")])
    groups, _ = fit_groups(two, LawOptions(resamples=0))
    assert [group.title for group in groups] == ["learning rate 0.001", "learning rate <b>2e-3</b>"]
    rates = pd.concat([table.assign(lr_rule=str(k), run_id=table["run_id"] + str(k)) for k in range(8)])
    groups, refused = fit_groups(rates, LawOptions(resamples=0))
    assert groups == []
    assert "8 kinds (they differ in lr_rule)" in refused[0]


@pytest.mark.slow
def test_milestones_of_constant_runs_make_the_frontier():
    table = worlds.curves(World(), widths=(8, 24, 64, 192), milestones=MILESTONES).assign(error=np.nan)
    groups, _ = fit_groups(table, LawOptions(resamples=0))
    group = groups[0]
    assert len(group.milestones) == MILESTONES * len(group.rows)
    assert group.frontiers["loss"].n_cells > len(group.rows)
    assert next(c for c in group.laws if c.law == "chinchilla").fit.params["alpha"] == pytest.approx(0.3, abs=0.03)
    inside, _ = fit_groups(table.assign(schedule="cosine"), LawOptions(resamples=0))
    assert inside[0].milestones is None
    assert any("not fitted" in text for text in inside[0].notes)


@pytest.mark.slow
def test_loss_in_data_size_per_width():
    table = worlds.grid(World(), (16, 64), (1024, 2048, 4096, 8192, 16384), seeds=2).assign(error=np.nan)
    groups, _ = fit_groups(table, QUICK)
    laws = [c for c in groups[0].laws if c.slice and c.x == "D" and c.law == "saturating" and c.y == "loss"]
    assert len(laws) == 2
    for result in laws:
        low, high = result.fit.intervals["alpha"]
        assert low < World().beta < high
        assert f'--where "N == {result.slice.value:g}"' in result.options


@pytest.mark.slow
def test_a_foreign_table_goes_into_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    worlds.small()[["N", "D", "C", "loss"]].to_csv("mine.csv")
    report = write_report("mine.csv", law_options=LawOptions(resamples=0))
    assert "loss" in report.groups[0].minima
    assert report.page.resolve() == (tmp_path / "mine_report" / "report.html").resolve()


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    """A report of training runs at a constant rate with a probe at each milestone, and one that differs in recipe."""
    trained = worlds.curves(World(), widths=(8, 32, 128), milestones=MILESTONES)
    trained = trained.assign(task="test", origin=None, error=np.nan)
    probed = trained.assign(
        task="probe:digits", origin=trained["run_id"], loss=trained["loss"] * 0.8, stage_recipe="probe lr=0.1"
    )
    probed["run_id"] = [f"p{i}" for i in range(len(probed))]
    few = probed[(probed["width"] == 8) & probed["final"]].assign(task="ridge:digits")
    few = few.assign(run_id="r" + few["run_id"], stage_recipe=[f"ridge[shots={i}]" for i in range(len(few))])
    folder = tmp_path_factory.mktemp("staged")
    write_table(pd.concat([trained, probed, few]), folder / "stages.csv")
    return folder, write_report(folder / "stages.csv", out=folder / "out", law_options=LawOptions(resamples=0))


def test_a_table_of_several_tasks_is_one_report_with_a_part_for_each(staged):
    folder, report = staged
    page = Page(report.page.read_text())
    assert page.open == []
    assert {"#test", "#probe_digits", "#ridge_digits", "#side"} <= set(page.refers)
    assert {group.subset.task for group in report.groups} == {"test", "probe:digits"}
    assert any(text.startswith("ridge:digits: 2 kinds of runs") for text in report.refused)
    text = " ".join(page.text)
    assert "fit --law chinchilla --y loss --task probe:digits --rows all" in text.replace(f" {folder}/stages.csv", "")
    assert "from which the stage started" in text
    names = [picture.name for picture in report.pictures]
    assert {"loss_vs_compute", "loss_vs_compute_probe_digits"} <= set(names)
    assert len(names) == len(set(names))
    said = json.loads((folder / "out" / "fit.json").read_text())
    assert [group["task"] for group in said["groups"]] == ["test", "probe:digits"]


def test_a_probe_at_each_milestone_has_its_own_law(staged):
    trained, probed = staged[1].groups
    assert len(probed.milestones) == len(trained.milestones) == MILESTONES * len(trained.rows)
    laws = [next(c.fit for c in group.laws if c.law == "chinchilla") for group in (trained, probed)]
    assert laws[1].params["E"] == pytest.approx(0.8 * laws[0].params["E"], rel=1e-3)
    assert laws[1].n_runs == laws[0].n_runs == len(trained.rows)


@pytest.mark.slow
def test_a_report_can_be_of_one_task(staged, tmp_path):
    source = staged[0] / "stages.csv"
    report = write_report(source, out=tmp_path, tasks=["probe:digits"], law_options=LawOptions(resamples=0))
    assert [group.name for group in report.groups] == [staged[1].groups[1].name]
    assert "Task probe" not in report.page.read_text()
    with pytest.raises(UserError, match="no task 'probe:mnist'; the table has test, probe:digits, ridge:digits"):
        write_report(source, out=tmp_path, tasks=["probe:mnist"])


def test_kinds_without_a_scale_only_compare():
    table = worlds.isoflop(World(), widths=(8, 32), budgets=(1e9, 4e9), seeds=1).assign(error=np.nan)
    alone = table[(table["width"] == 8) & (table["budget"] == 1e9)].assign(optim="sgd")
    alone["run_id"] += "s"
    groups, refused = fit_groups(pd.concat([table, alone]), LawOptions(resamples=0))
    assert [group.subset.where for group in groups] == [f"optim == {table['optim'].iloc[0]!r}"]
    assert refused[0].startswith("1 of 2 kinds of runs (they differ in optimiser) has fewer than 4 sizes")


def test_unwritable_folder_is_said(tmp_path):
    table = worlds.isoflop(World(), widths=(8, 16), budgets=(1e9, 2e9), seeds=1)
    folder = write_results(table.assign(error=np.nan), tmp_path)
    (folder / "figures").write_text("in the way")
    with pytest.raises(UserError, match="report cannot be written"):
        write_report(folder, law_options=QUICK, figures=True)


def test_head_of_a_sweep_file(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("# yaml-language-server: $schema=sweep.json\n" + SWEEP)
    question, command = read_sweep(path)
    assert question.splitlines()[0] == "How does the loss fall with compute?"
    assert command == "scaling run sweep=quickstart"
    assert read_sweep(tmp_path / "none.yaml") == ("", "")


def test_summary_counts(tmp_path):
    summary = summarise(troubled(worlds.isoflop(World())), tmp_path)
    assert summary.counts == {"runs": 180, "finished": 177, "diverged": 1, "failed": 1, "missing": 1}
    assert {t.what for t in summary.troubles} == {"diverged", "failed", "missing", "at chance"}


@pytest.mark.slow
def test_a_table_of_others_is_read_as_told_and_claims_what_it_holds(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = worlds.grid(World(), (8, 16, 32, 64), (1024, 4096, 16384, 65536), seeds=1)[["N", "D", "loss"]]
    theirs = table.rename(columns={"N": "Model Size", "loss": "val"}).assign(flop=6 * table["N"] * table["D"])
    theirs.drop(columns="D").to_csv("mine.csv", index=False)
    options = ["--columns", "N=Model Size,C=flop,loss=val", "--derive", "D = C/(6*N)", "--where", "N > 200"]
    assert main(["report", "mine.csv", *options, "--resamples", "40", "--json", "said.json"]) == 0
    page = Path("mine_report/report.html")
    text = " ".join(Page(page.read_text()).text)
    assert "16 rows of a table without a column status" in text
    assert "above chance" not in text
    assert '--columns "N=Model Size,C=flop,loss=val" --derive "D = C/(6*N)" --where "N > 200"' in text
    lines = {line["what"]: line for line in json.loads(Path("said.json").read_text())["headlines"]}
    assert lines["best size grows as"]["status"] in ("ok", "weak")
    assert "No law is claimed" not in text
    assert "loss_isoflop" not in data_of(page)["charts"]
    assert main(["report", "mine.csv", "--where", "flop < 0"]) == 2
    assert "no row is left" in capsys.readouterr().err


@pytest.mark.slow
def test_a_law_of_N_and_D_alone_is_the_answer():
    table = worlds.grid(World(), (8, 16, 32, 64, 128), (1024, 4096, 16384, 65536), seeds=1)[["N", "D", "loss"]]
    lines = headlines(fit_groups(table, QUICK)[0])
    assert lines[0].what == "loss in N and D falls as"
    assert lines[0].value.startswith("N<sup>−0.")
    assert [part.partition(" ")[0] for part in lines[0].interval.split("], ")] == ["N", "D"]
    assert answer(lines).startswith("The loss in N and D falls as <b>N")
    assert "best size grows as" in answer(lines)


@pytest.mark.parametrize(("columns", "x"), [(["N"], "N"), (["D"], "D"), (["C"], "C")])
def test_a_table_of_one_size_has_its_law(columns, x):
    sizes = 1e6 * 2.0 ** np.arange(8)
    table = pd.DataFrame({columns[0]: sizes, "loss": 1.5 + 60 * sizes**-0.3})
    (group,), _ = fit_groups(table, QUICK)
    law = group.laws[-1]
    assert (law.title, law.x, law.options) == (f"loss in {x}", x, f"fit --law saturating --y loss --x {x}")
    assert law.fit.params["alpha"] == pytest.approx(0.3, abs=1e-3)
    assert next(iter(headlines([group]))).what == "loss falls as"
    assert [drawing.name for drawing in group_figures(group)] == [f"loss_vs_{x}"]


def test_a_table_of_errors_alone_has_their_laws(tmp_path):
    table = worlds.small()[["N", "D", "C", "loss"]].rename(columns={"loss": "error"})
    table["error"] /= 10
    written = write_report(tmp_path / "t.csv", table=table, out=tmp_path, law_options=QUICK)
    (group,) = written.groups
    assert {law.y for law in group.laws} == {"error"}
    assert group.allocation is not None
    assert list(group.minima) == ["error"]
    assert not written.refused
    said = " ".join(line.what for line in written.headlines)
    assert "error" in said
    assert "loss" not in said


def test_warnings_of_slices_that_differ_in_numbers_alone_are_counted_together(tmp_path):
    table = worlds.grid(World(noise=0.001), (8, 16, 32, 64, 128), (1024, 2048, 4096, 8192, 16384), seeds=1)
    table = table[["N", "D", "loss"]]
    page = write_report(tmp_path / "t.csv", table=table, out=tmp_path, law_options=QUICK).page.read_text()
    said = [text for text in re.findall("<li>(.*?)</li>", page) if re.match(r"(power|saturating), \d of", text)]
    kinds = [re.sub(r"\d[\d.]*", "", text.replace(" (numbers of the first)", "")) for text in said]
    assert "(numbers of the first)" in " ".join(said)
    assert len(kinds) <= 2 * len(set(kinds))  # each along N and along D


def test_a_page_without_n_does_not_speak_of_its_count(tmp_path):
    said = "The choice of N moves"
    for columns in (["C", "loss"], ["N", "D", "loss"]):
        page = write_report(tmp_path / "t.csv", table=worlds.small()[columns], out=tmp_path, law_options=QUICK).page
        assert (said in page.read_text()) == ("N" in columns)


def test_families_without_seeds_and_runs_without_a_schedule_are_a_report_too(tmp_path):
    table = worlds.small().drop(columns="seed")
    kinds = [table.assign(family=name, run_id=name + table["run_id"]) for name in ("mlp", "vit")]
    both = pd.concat(kinds, ignore_index=True)
    both["data"] = ["teacher", "teacher", None, "teacher"] * (len(both) // 4)
    both["schedule"] = ["cosine", None] * (len(both) // 2)
    both["final"] = [True, False] * (len(both) // 2)
    groups = write_report(tmp_path / "t.csv", table=both, out=tmp_path, law_options=LawOptions(resamples=0)).groups
    assert {group.name.partition(" ")[0] for group in groups} == {"mlp", "vit"}


def test_a_group_without_a_value_is_named_and_selected_and_groups_are_not_said_to_be_pooled(tmp_path):
    plain = worlds.small()[["N", "D", "C", "loss"]]
    table = pd.concat([plain.assign(augment="mixup"), plain.assign(augment=None)], ignore_index=True)
    table.to_csv(tmp_path / "t.csv", index=False)
    written = write_report(tmp_path / "t.csv", out=tmp_path, law_options=LawOptions(resamples=0))
    assert [group.name for group in written.groups] == ["augmentation mixup", "no augmentation"]
    assert "are pooled" not in written.page.read_text()
    for group in written.groups:
        assert len(rows_where(load_table(tmp_path / "t.csv"), group.to_dict()["where"])) == len(plain)


def test_models_of_different_size_are_no_repeats_of_each_other():
    table = worlds.grid(World(), (8, 16, 32), (1024, 4096), seeds=1)[["N", "D", "loss"]]
    table = table.assign(D_unique=table["D"] / 4)
    listed = result_table(table, "loss")
    assert listed.columns[:2] == ("weights", "examples")
    assert len(listed.rows) == len(table[["N", "D"]].drop_duplicates())


def test_a_page_without_a_law_says_why_and_claims_no_count_of_others(tmp_path):
    pd.DataFrame({"params": [1e6] * 3, "tokens": [1e8, 2e8, 4e8], "loss": [3.0, 2.8, 2.7]}).to_csv(tmp_path / "few.csv")
    page = Page(write_report(tmp_path / "few.csv", out=tmp_path / "page").page.read_text())
    text = " ".join(" ".join(page.text).split())
    assert "no law: found 1 value of N and 3 values of D; wanted several of both, or 4 of one" in text
    assert "Status of a law" not in text
    assert "parameters of all weight matrices" not in text
    assert "from the table, which does not say how parameters were counted" in text


def test_a_page_without_N_and_D_names_the_fit_of_another_column():
    table = pd.DataFrame({"GPU hours": [1.0, 2.0, 4.0, 8.0], "loss": [3.0, 2.5, 2.2, 2.0]})
    [group], _ = fit_groups(load_table(table))
    command = 'scaling fit --law power --y loss --x "GPU hours"'
    assert group.notes == (
        "no law: found neither N nor D; wanted several of both, or 4 of one beside the same value of the other; "
        f"`{command}` of this table fits a law of GPU hours or another column",
    )


@pytest.mark.parametrize(("seeds", "said"), [(1, "Single runs"), (2, "Means over seeds")])
def test_captions_speak_of_seeds_where_there_are_some(seeds, said):
    [group] = fit_groups(worlds.isoflop(World(), seeds=seeds), LawOptions(resamples=0))[0]
    captions = [drawing.caption for drawing in group_figures(group)]
    assert captions[0].startswith(f"{said}; lines join")
    assert any("seeds" in caption for caption in captions) == (seeds > 1)


def test_one_run_is_no_runs_and_a_missing_run_has_no_files(tmp_path):
    one = worlds.isoflop(World(), (8,), (1e9,), seeds=1)
    page = write_report(write_results(one, tmp_path), law_options=LawOptions(resamples=0)).page.read_text()
    text = "".join(Page(page).text)
    assert re.search(r"\b1 run\b", text)
    assert "1 runs" not in text
    assert "1 points" not in text
    assert page.count('/config.yaml">') == 1
    two = pd.concat([one, one.assign(run_id="later", status="missing", loss=np.nan, error=np.nan)])
    page = write_report(write_results(two, tmp_path / "2"), law_options=LawOptions(resamples=0)).page.read_text()
    assert page.count('/config.yaml">') == 1


def test_a_report_of_tuning_begins_with_its_figures(tmp_path):
    grid = [(N, lr, seed) for N in (1e4, 4e4, 1.6e5) for lr in np.geomspace(0.2, 5, 9) for seed in range(2)]
    rows = pd.DataFrame(grid, columns=["N", "lr", "seed"])
    rows["lr"] *= 0.01 * (rows["N"] / 1e4) ** -0.4
    rows = rows.assign(D=20 * rows["N"], loss=1 + 0.1 * np.log(rows["lr"] / (0.01 * (rows["N"] / 1e4) ** -0.4)) ** 2)
    rows = rows.assign(val_loss=rows["loss"], status="finished")
    rows.to_csv(tmp_path / "tries.csv", index=False)
    report = write_report(tmp_path / "tries.csv", out=tmp_path / "out", law_options=LawOptions(resamples=0))
    page = report.page.read_text()
    assert Page(page).open == []
    assert 0 < page.index('data-chart="tuned_lr_law"') < page.index('<h2 id="ran">')
    [law] = [mark["label"] for mark in data_of(report.page)["charts"]["tuned_lr_law"][0]["marks"] if "label" in mark]
    assert law.endswith("N<sup>−0.400</sup>")


def test_a_constant_rate_is_written_as_a_number():
    table = worlds.small().assign(lr_rule="100.0")
    assert ("learning rate", "100") in summarise(table, Path("nowhere")).recipe
    table["lr_rule"] = ["50.0", "1000000.0", "0.05"] * 16
    assert ("learning rate", "0.05, 50, 10⁶") in summarise(table, Path("nowhere")).recipe


def test_what_ran_is_told_of_runs_that_ran(tmp_path):
    table = worlds.small().assign(precision=["fp32"] * 46 + ["auto"] * 2, depth=None)
    table["status"] = ["finished"] * 46 + ["missing", "failed"]
    summary = summarise(table, tmp_path)
    assert ("precision", "fp32") in summary.recipe
    assert "depth" not in dict(summary.facts)


def test_a_question_begins_without_the_name_of_its_sweep(tmp_path):
    table = pd.DataFrame({"N": [1.0]})
    for folder, head in (("fm", "fashion_mnist: how?"), ("v0.5", "v0.5: how?"), ("fm", "How?")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "sweep.yaml").write_text(f"# {head}\na: 1\n# command: scaling run sweep=x/fashion_mnist\n")
        assert summarise(table, tmp_path / folder).question == "How?"


@pytest.mark.slow
def test_edges_weaken_a_verdict_everywhere_on_the_page():
    table = worlds.grid(World(), (64,), (1024, 2048, 4096, 8192, 16384), seeds=2).assign(error=np.nan)
    found = next(law for law in fit_groups(table, QUICK)[0][0].laws if law.fit)
    law = replace(found, fit=replace(found.fit, certificate=replace(found.fit.certificate, status="ok")))
    edged = replace(law, at_edges=True)
    assert [one.status for one in (law, edged)] == ["ok", "weak"]
    assert (law_row(edged)["status"], edged.to_dict()["status"]) == ("weak", "weak")


@pytest.mark.slow
def test_two_sizes_claim_no_exponent_of_N():
    table = worlds.grid(World(), (16, 64), (1024, 4096, 16384, 65536), seeds=2)[["N", "D", "loss"]]
    assert not any("N and D" in line.what for line in headlines(fit_groups(table, QUICK)[0]))


def test_each_exponent_of_an_answer_has_its_interval_behind_it():
    line = Headline("loss falls as", "N<sup>−0.2</sup>, D<sup>−0.3</sup>", "N [−0.3, −0.1], D [−0.4, −0.2]", "", "")
    assert "<b>N<sup>−0.2</sup> [−0.3, −0.1], D<sup>−0.3</sup> [−0.4, −0.2]</b>" in answer([line])
    assert "<b>C<sup>0.5</sup></b>" in answer([replace(line, value="C<sup>0.5</sup>", interval="")])


def test_each_group_has_its_answer_and_names_are_no_html():
    def lines(of, slope):
        grows = Headline("best size grows as", "C<sup>0.5</sup>", "[0.4, 0.6]", "", "", of)
        return [Headline("best loss falls as", f"C<sup>{slope}</sup>", "", "ok", "", of), grows]

    assert answer(lines("", -0.2)).startswith("The best loss falls as <b>C<sup>-0.2</sup></b>")
    said = answer([*lines("adamw", -0.2), *lines("<b>lion</b>", -0.3)])
    assert said.startswith("adamw: the best loss falls as <b>C<sup>-0.2</sup></b>")
    assert "&lt;b&gt;lion&lt;/b&gt;: the best loss falls as <b>C<sup>-0.3</sup></b>" in said
    assert said.count("and the best size grows as") == 2


def test_runs_without_epochs_are_of_no_length():
    rows = pd.DataFrame({"epochs": [1.23, 1.25, None, 10.0], "D_unique": [100, 1000, 100, 100]})
    assert epoch_groups(rows).tolist() == [1.25, 1.25, pytest.approx(float("nan"), nan_ok=True), 10.0]
    assert epoch_groups(rows.assign(epochs=float("nan"))).isna().all()


def test_the_law_of_one_run_s_curve_keeps_its_floor_and_has_no_interval():
    D = np.geomspace(1e9, 1e11, 12)
    curves = [pd.DataFrame({"run_name": f"r{N:g}", "N": N, "D": D, "loss": 2 + 400 * D**-0.3}) for N in (1e8, 1e9)]
    (group,), _ = fit_groups(load_table(pd.concat(curves)), QUICK)
    (line,) = (line for line in headlines([group]) if "falls as" in line.what and line.value.startswith("D"))
    assert (line.value, line.interval, line.status) == ("D<sup>−0.300</sup>", "", "weak")
    assert line.note.startswith("above a floor of 2, hold-out passed")
    assert "<b>D<sup>−0.300</sup></b> above a floor of 2 <span" in answer([line])


def test_a_loss_that_rises_is_not_said_to_fall():
    D = np.geomspace(1e9, 1e11, 12)
    curves = [pd.DataFrame({"run_name": f"r{N:g}", "N": N, "D": D, "loss": (D / 1e9) ** 0.1}) for N in (1e8, 1e9)]
    (group,), _ = fit_groups(load_table(pd.concat(curves)), QUICK)
    (line,) = (line for line in headlines([group]) if line.value.startswith("D"))
    assert (line.what.split()[-2:], line.value) == (["rises", "as"], "D<sup>0.100</sup>")
