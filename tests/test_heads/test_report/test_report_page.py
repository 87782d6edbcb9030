import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from heads.blending.blend import blend_data
from heads.blending.blenders import find_blender
from heads.blending.blenders.registry import BLENDERS
from heads.data.reading.corrections import correct_labels
from heads.errors import RunError
from heads.evaluation.standard_errors import clip_losses
from heads.evaluation.verdicts import FEWEST_CLIPS, Use, species_verdicts
from heads.report import render_report
from heads.report.clips import clip_listings
from heads.report.figures.small_multiples import species_reliability
from heads.report.run_facts import read_run
from heads.report.summary import best_model, blanks
from heads.report.tables.confusion import confusion_table
from heads.report.tables.decisions import light_table
from heads.report.tables.models import comparison_table, contribution_tables, removal_table
from heads.report.tables.run import pseudo_labels_table
from heads.report.tables.scores import leaderboard_table, thresholds_table
from heads.run import RunDirectory
from heads.workflows.blend import blend_run
from store.files import write_json

MakeRun = Callable[..., RunDirectory]
NASTY = ("blank", '<script>alert("x")</script>', "a & b's $x^2$", "größe", "</title><b>")


class Reader(HTMLParser):
    """The page as a browser's parser sees it: tags with their attributes, and the text of table cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self._in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "th"):
            self.cells.append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells[-1] += data


def test_every_model_species_and_bad_clip_is_in(make_run: MakeRun) -> None:
    run = make_run(narrow_head=True)
    cells = Reader(render_report(run).html).cells
    for name in (*run.head_names()[:-1], "blank-concat (1 of 9 classes)", "training prior", *run.read_labels().classes):
        assert any(cell.startswith(name) for cell in cells), name
    for clip_id, reason in run.read_clips()[["clip_id", "reason"]].to_numpy():
        assert clip_id in cells
        assert reason in cells
    score = run.read_metrics()["heads"][run.head_names()[0]]["mean_log_loss"]
    assert f"{score:.4f}" in cells
    assert "579344248a93e230" in cells


def test_nothing_is_fetched(make_run: MakeRun) -> None:
    page = render_report(make_run()).html
    reader = Reader(page)
    for tag, attributes in reader.tags:
        assert tag not in ("iframe", "object", "embed", "base")
        assert (attributes.get("src") or "data:").startswith("data:")
        for name in ("href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,", "data:text/csv")), (tag, attributes)
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    [policy] = [attributes for tag, attributes in reader.tags if attributes.get("http-equiv")]
    assert str(policy["content"]).startswith("default-src 'none'")


def test_it_begins_with_what_can_be_decided(make_run: MakeRun) -> None:
    run = make_run()
    page = render_report(run).html
    heads = [unescape(each) for each in re.findall(r"<h2>(.*?)</h2>", page)]
    assert heads[:5] == [
        "What can be dropped unseen?",
        "Which species can be taken?",
        "How far can this be trusted?",
        "Most confident mistakes",
        "Answers that are right",
    ]
    assert heads.index("Leaderboard") > heads.index("Most uncertain")
    row = run.read_metrics()["blank_removal"][0]
    said = f"{100 * row['dropped']:.1f}".removesuffix(".0")
    assert f"of the clips with an animal may be lost, {said} % of the blank ones can be dropped unseen" in page
    facts = read_run(run)
    found = species_verdicts(facts.metrics, facts.balance, 5, sites=True)
    assert [each.name for each in found if each.name == "blank"] == []
    assert len(found) == len(run.read_labels().classes) - 1
    for each in found:
        assert (each.use is Use.TOO_FEW) == (each.clips < FEWEST_CLIPS or (each.sites or 0) < 5)


def test_a_loss_that_so_few_animals_cannot_show_is_not_claimed(made_runs: MakeRun) -> None:
    few = read_run(made_runs(n_clips=60, blenders=("mean",)))
    many = read_run(made_runs(n_clips=600))
    assert 10 < few.animals < 100 < many.animals
    rows = [{**few.metrics["blank_removal"][0], "threshold": 0.2, "dropped": 1.0}]
    short, enough = (replace(facts, metrics={**facts.metrics, "blank_removal": rows}) for facts in (few, many))
    [first, why] = blanks(short)
    assert first.startswith("If none of the clips with an animal may be lost, 100 % of the blank ones can be dropped")
    allows = f"{100 * (1 - 0.05 ** (1 / few.animals)):.1f}"
    assert why == (
        f"Only {few.animals} clips with an animal are known, too few to measure a loss of 1 % (which takes 100): none "
        f"lost of {few.animals} still allows a true loss of up to {allows.removesuffix('.0')} % (95 % bound)."
    )
    [first] = blanks(enough)
    assert first.startswith("If 1 % of the clips with an animal may be lost, 100 % of the blank ones can be dropped")
    table, plain = removal_table(short), removal_table(enough)
    assert table is not None
    assert table.note == why
    assert plain is not None
    assert plain.note == ""


def test_day_and_infrared_stand_apart(make_run: MakeRun) -> None:
    facts = read_run(make_run())
    shares = pd.DataFrame({"infrared_share": [1.0, 0.0, 0.2, np.nan]}, index=list(facts.blend.ids[:4]))
    table = light_table(facts, shares)
    assert table is not None
    losses = clip_losses(facts.values, facts.blend.probabilities)
    assert [[cell.text for cell in row.cells][:2] for row in table.rows] == [["day", "2"], ["infrared", "1"]]
    assert [row.cells[3].text for row in table.rows] == [f"{losses[1:3].mean():.4f}", f"{losses[0]:.4f}"]
    assert light_table(facts, shares.iloc[1:]) is None
    assert light_table(facts, None) is None


def test_right_answers_stand_beside_mistakes(make_run: MakeRun) -> None:
    run = make_run()
    facts = read_run(run)
    found = next(each for each in clip_listings(facts, None, None) if each.table.key == "right")
    shown = [row.cells[0].text for row in found.table.rows]
    place = {clip_id: number for number, clip_id in enumerate(facts.blend.ids)}
    top = [int(facts.blend.probabilities[place[each]].argmax()) for each in shown]
    assert all(facts.values[place[clip_id], column] for clip_id, column in zip(shown, top, strict=True))
    species = len(set(top))
    assert len(set(top[:species])) == species  # the surest of each before any second one
    assert species > 3


def test_a_list_that_is_filled_in_corrects_the_labels(make_run: MakeRun, tmp_path: Path) -> None:
    facts = read_run(make_run())
    listing = next(each for each in clip_listings(facts, None, None) if each.table.key == "worst")
    path = tmp_path / "worst.csv"
    path.write_bytes(unquote_to_bytes(listing.csv.removeprefix("data:text/csv;charset=utf-8,")))
    frame = pd.read_csv(path, encoding="utf-8-sig", keep_default_na=False)
    assert [*frame["filename"]] == [row.cells[0].text for row in listing.table.rows]
    frame.loc[0, "correct"], frame.loc[1, "correct"] = "duiker; human", "?"
    frame.to_csv(path, index=False)
    labels, notes = correct_labels(facts.labels, [path])
    first, second = frame["filename"][:2]
    assert second not in labels.ids
    row = labels.values[labels.ids.index(first)]
    assert [name for name, shown in zip(labels.classes, row, strict=True) if shown] == ["duiker", "human"]
    others = [clip_id for clip_id in labels.ids if clip_id != first]
    assert (labels.select(others).values == facts.labels.select(others).values).all()
    assert notes == [f"worst.csv: 1 label corrected, 1 clip left out; {len(frame) - 2} rows are not filled in"]


def test_names_are_escaped(make_run: MakeRun) -> None:
    run = make_run(classes=NASTY, heads=("plain", "a&b"))
    page = render_report(run).html
    reader = Reader(page)
    for name in NASTY:
        assert name in reader.cells
    assert sum(tag == "script" for tag, _ in reader.tags) == 1
    assert "<b>" not in page
    assert 'old/<b>&"odd" name.avi' in reader.cells


def test_charts_are_sound_and_speak(make_run: MakeRun) -> None:
    page = render_report(make_run(classes=NASTY)).html
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) >= 3
    ids: list[str] = []
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        title, description = root[0], root[1]
        for spoken, tag in ((title, "title"), (description, "desc")):
            assert spoken.tag.rpartition("}")[2] == tag
            assert (spoken.text or "").strip()
        assert root.attrib["role"] == "img"
        assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
        assert "#0a0a0" not in drawing
    assert len(ids) == len(set(ids))


def test_ids_are_unique_and_links_lead_somewhere(make_run: MakeRun) -> None:
    tags = Reader(render_report(make_run()).html).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tags:
        for name in ("href", "xlink:href"):
            target = attributes.get(name)
            assert not target or not target.startswith("#") or target[1:] in ids


def test_it_says_whether_sites_were_kept_apart(make_run: MakeRun, tmp_path: Path) -> None:
    with_sites = render_report(make_run(tmp_path / "with")).html
    without = render_report(make_run(tmp_path / "without", sites=False)).html
    assert "models that never saw its site: 20 sites in 5 folds" in with_sites
    assert "the scores flatter" in without
    assert "the scores flatter" not in with_sites


def test_where_sites_are_not_known_they_are_named_only_where_they_are_missed(make_run: MakeRun) -> None:
    run = make_run(sites=False)
    page = unescape(re.sub(r"<style>.*?</style>|<script>.*?</script>", "", render_report(run).html, flags=re.DOTALL))
    page = page.partition('<section id="words-section">')[0]
    named = {line.strip() for line in re.split(r"[<>]", page) if re.search(r"\bsites?\b", line, flags=re.IGNORECASE)}
    ours = {line for line in named if not line.startswith(("Taï forest", "td class", "th scope", "a download"))}
    assert len(ours) == 1, ours
    (said,) = ours
    assert said.startswith("Clips were dealt into 5 folds one by one, without sites.")


def test_the_blend_is_weighed_against_the_best_single_model(make_run: MakeRun) -> None:
    run = make_run()
    scores = run.read_metrics()
    assert scores["blends"][scores["chosen"]]["mean_log_loss"] < 0.9 * min(
        head["mean_log_loss"] for head in scores["heads"].values()
    )
    assert "lower, more than chance among sites would give" in render_report(run).html


def test_it_says_what_choosing_a_blend_flatters_by(make_run: MakeRun) -> None:
    run = make_run()
    blind = run.read_metrics()["choice"]["auto"]["mean_log_loss"]
    assert (
        f"chosen anew for each fold without a look at that fold, its log loss is {blind:.4f}" in render_report(run).html
    )
    blend_run(run, "mean", most_clips_for_trees=0)
    assert "chosen anew" not in render_report(run).html


def test_it_says_that_the_simplest_of_few_clips_was_not_chosen_for_its_score(made_runs: MakeRun) -> None:
    few, many = read_run(made_runs(n_clips=120)), read_run(made_runs())
    comparison = few.metrics["comparison"]
    best = min(comparison, key=lambda row: row["mean_log_loss"])
    other = next(row for row in comparison if row["name"] != best["name"])
    for facts, chosen, is_for_score in ((few, other, False), (few, best, True), (many, other, True)):
        said = " ".join(best_model(replace(facts, metrics={**facts.metrics, "chosen": chosen["name"]})))
        assert ("It was chosen for that score; chosen anew" in said) is is_for_score
        named = f"“{best['name']}” scores {best['mean_log_loss']:.4f}, but of fewer than 200 clips the simplest blend"
        assert (named in said) is not is_for_score


def test_greedy_weights_stand_beside_what_each_model_adds(make_run: MakeRun) -> None:
    """Whatever blend is chosen."""
    run = make_run()
    blend_run(run, "logistic", most_clips_for_trees=0)
    weights = blend_data(run.read_all_oof(), run.read_labels(), run.read_folds()).fit(find_blender("greedy")).parameters
    expected = dict(zip(run.head_names(), (f"{np.mean(own):.2f}" for own in weights["weights"]), strict=True))
    table = contribution_tables(read_run(run))[0]
    place = [each.label for each in table.columns].index("Greedy weight")
    assert {row.cells[0].text: row.cells[place].text for row in table.rows} == expected
    assert {row.cells[place + 1].text for row in table.rows} == {"–"}


def test_a_blend_that_is_the_best_single_model_is_said_to_be(make_run: MakeRun) -> None:
    run = make_run()
    blend_run(run, "best_single", most_clips_for_trees=0)
    assert "It is the best single model, attention-efficientnet_lite0, by itself." in render_report(run).html


def test_every_way_to_blend_is_explained(make_run: MakeRun) -> None:
    run = make_run()
    metrics = run.read_metrics()
    names = [*(blender.name for blender in BLENDERS), "xgboost+frames+calibrated"]
    row = metrics["comparison"][0]
    write_json(run.metrics_path, {**metrics, "comparison": [{**row, "name": name} for name in names]})
    said = [row.cells[-1].text for row in comparison_table(read_run(run)).rows]
    assert all(said)
    assert said[-1].endswith("of their scores of single frames, then calibrated")


def test_headings_are_explained_below_their_table(make_run: MakeRun) -> None:
    run = make_run()
    page = unescape(render_report(run).html)
    for column in leaderboard_table(read_run(run)).explained:
        assert f"<dt>{column.label}</dt><dd>{column.hint}</dd>" in page
    assert "<dt>ECE</dt>" in page


def test_the_heat_map_uses_its_whole_range(make_run: MakeRun) -> None:
    shades = [cell.shade for row in contribution_tables(read_run(make_run()))[1].rows for cell in row.cells[1:]]
    assert (min(shades), max(shades)) == (0.0, 1.0)


def test_every_site_has_a_row(make_run: MakeRun) -> None:
    run = make_run()
    cells = Reader(render_report(run).html).cells
    assert set(run.read_labels().sites or ()) <= set(cells)


def test_confusion_by_hand(make_run: MakeRun) -> None:
    run = make_run()
    facts = read_run(run)
    table = confusion_table(facts)
    assert table is not None
    [blank] = [row for row in table.rows if row.cells[0].text == "blank"]
    column = facts.blend.classes.index("blank")
    alone = (facts.values[:, column] == 1) & (facts.values.sum(axis=1) == 1)
    right = facts.blend.probabilities[alone].argmax(axis=1) == column
    place = [each.label for each in table.columns].index("blank")
    assert blank.cells[1].text == str(int(alone.sum()))
    assert blank.cells[place].text == f"{100 * right.mean():.0f}"
    for row in table.rows:
        assert sum(float(cell.value) for cell in row.cells[2:]) == pytest.approx(100)


def test_random_folds_stand_beside_sites_if_they_were_tried(make_run: MakeRun) -> None:
    run = make_run()
    assert 'id="splits"' not in render_report(run).html
    run.write_splits("heads", [{"head": run.head_names()[0], "by_site": 0.2345, "random": 0.1234, "gap": 0.1111}])
    assert {"0.2345", "0.1234", "0.1111"} <= set(Reader(render_report(run).html).cells)


def test_each_fold_says_what_clips_without_labels_taught(make_run: MakeRun) -> None:
    run = make_run()
    assert 'id="pseudo-labels"' not in render_report(run).html
    name = run.head_names()[1]
    outcomes = [
        {"fold": 0, "inner": 1, "before": 0.3111, "after": 0.2999, "kept": True},
        {"fold": 1, "inner": 2, "before": 0.3222, "after": 0.3233, "kept": False},
        {"fold": 2, "inner": 0, "before": None, "after": None, "kept": False},
        None,
    ]
    run.write_head(name, {**run.read_head(name), "pseudo_labels": outcomes})
    table = pseudo_labels_table(read_run(run))
    assert table is not None
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        [name, "0", "1", "0.3111", "0.2999", "−0.0112", "kept"],
        [name, "1", "2", "0.3222", "0.3233", "+0.0011", "dropped"],
        [name, "2", "0", "–", "–", "–", "dropped"],
    ]
    assert "kept in 1 of 3 folds" in render_report(run).html


def test_reliability_of_each_species_by_hand(make_run: MakeRun) -> None:
    facts = read_run(make_run(classes=NASTY))
    drawn = {each.name: each for each in species_reliability(facts)}
    assert [each.support for each in drawn.values()] == sorted(facts.values.sum(axis=0), reverse=True)
    for column, name in enumerate(NASTY):
        said, true = facts.blend.probabilities[:, column], facts.values[:, column]
        step = np.minimum((said * 10).astype(int), 9)
        points = []
        for each in np.unique(step):
            x, y = 4 + 92 * said[step == each].mean(), 96 - 92 * true[step == each].mean()
            points.append(f"{x:.1f},{y:.1f}")
        assert f'points="{" ".join(points)}"' in drawn[name].drawing


def test_thresholds_are_chosen_among_by_what_is_wanted(make_run: MakeRun) -> None:
    run = make_run()
    table = thresholds_table(read_run(run))
    assert (len(table.rows), table.chosen) == (9 * 6, "precision 90 %")
    assert table.choices == [f"{aim} {share} %" for aim in ("precision", "recall") for share in (80, 90, 95)]
    blend_run(run, "mean", precision=(), recall=(0.975,), most_clips_for_trees=0)
    table = thresholds_table(read_run(run))
    assert (table.choices, table.chosen) == (["recall 97.5 %"], "recall 97.5 %")


def test_a_run_that_is_not_blended_is_refused(make_run: MakeRun) -> None:
    run = make_run()
    run.metrics_path.unlink()
    with pytest.raises(RunError, match=r"no metrics.json yet; run `heads blend"):
        render_report(run)


def test_a_run_blended_by_another_version_is_refused(make_run: MakeRun) -> None:
    run = make_run()
    write_json(run.metrics_path, {**run.read_metrics(), "version": 1})
    with pytest.raises(RunError, match=r"its version is 1, expected 4: .* run `heads blend --run"):
        render_report(run)


def test_a_run_of_foreign_predictions_needs_no_settings(make_run: MakeRun) -> None:
    run = make_run()
    run.config_path.unlink()
    run.clips_path.unlink()
    for name in run.head_names():
        run.head_path(name).unlink()
    page = render_report(run).html
    assert "brought in from outside" in page
    assert "Every clip decoded cleanly" in page


def test_one_head_is_enough(make_run: MakeRun) -> None:
    assert "attention-efficientnet_lite0" in render_report(make_run(heads=("attention-efficientnet_lite0",))).html


@pytest.mark.slow
def test_a_large_run_stays_small(make_run: MakeRun) -> None:
    classes = ("blank", *(f"species {number:02d}" for number in range(23)))
    heads = tuple(f"attention-{number:02d}" for number in range(20))
    run = make_run(n_clips=10_000, classes=classes, heads=heads, blenders=("mean", "mean_of_logits", "best_single"))
    assert len(render_report(run).html.encode()) < 5_000_000
