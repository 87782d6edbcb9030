"""Genus and family, said where no species is sure: which taxa there are, their thresholds, and where they are told."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from heads.cli import app
from heads.data.coarser import Coarser, coarser_taxa
from heads.data.predictions import Predictions
from heads.data.reading.class_table import read_class_table
from heads.data.splitting.folds import balance_table
from heads.errors import LabelError
from heads.evaluation.rollup import rollup_thresholds, usable_taxa
from heads.evaluation.verdicts import Say, Use, Verdict, what_to_say
from heads.report import write_report
from heads.run import BLEND, RunDirectory
from heads.workflows.answers.findings import findings
from heads.workflows.blend import blend_run
from heads.workflows.exports.answers import out_of_fold_answers

MakeRun = Callable[..., RunDirectory]
TABLE = """class,scientificName,rank,family,order
red duiker,Cephalophus natalensis,species,Bovidae,Artiodactyla
bay duiker,Cephalophus dorsalis,,Bovidae,Artiodactyla
buffalo,Syncerus caffer,species,Bovidae,Artiodactyla
hog,Potamochoerus porcus,species,Suidae,Artiodactyla
monkey,Cercopithecidae,family,,
mona,Cercopithecus mona,species,Cercopithecidae,
people,Homo sapiens,species,Hominidae,
"""
CLASSES = ("blank", "red duiker", "bay duiker", "buffalo", "hog", "monkey", "mona", "people")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "classes.csv").write_text(TABLE)
    return tmp_path / "classes.csv"


def test_a_table_of_classes_tells_the_ranks_above(table: Path) -> None:
    higher = {name: dict(taxon.higher) for name, taxon in read_class_table(table, CLASSES).items()}
    assert higher["bay duiker"] == {"genus": "Cephalophus", "family": "Bovidae", "order": "Artiodactyla"}
    assert higher["monkey"] == {"family": "Cercopithecidae"}
    assert higher["blank"] == {}
    assert higher["people"] == {"family": "Hominidae"}  # a person is not called a mammal of some genus


def test_only_taxa_of_several_classes_that_say_something_new_are_coarser(table: Path) -> None:
    taxa = coarser_taxa({name: taxon.higher for name, taxon in read_class_table(table, CLASSES).items()})
    assert [(each.label, each.classes) for each in taxa] == [
        ("Cephalophus (genus)", ("red duiker", "bay duiker")),
        ("Bovidae (family)", ("red duiker", "bay duiker", "buffalo")),
        ("Cercopithecidae (family)", ("monkey", "mona")),
        ("Artiodactyla (order)", ("red duiker", "bay duiker", "buffalo", "hog")),
    ]
    same = {name: {"genus": "G", "family": "F", "order": "O"} for name in ("a", "b")}
    assert [each.label for each in coarser_taxa(same)] == ["G (genus)"]


def test_a_sum_is_at_most_one_and_the_same_for_one_clip_and_for_many() -> None:
    rng = np.random.default_rng(0)
    classes = tuple("abcdefghij")
    taxon = Coarser(rank="genus", name="G", classes=tuple("jacebdf"))
    probabilities = rng.random((500, 10)) / 3
    summed = taxon.summed(probabilities, classes)
    assert summed.max() == 1.0
    for row, expected in zip(probabilities.tolist(), summed.tolist(), strict=True):
        of_one = dict(zip(classes, row, strict=True))
        assert taxon.probability(of_one) == expected
        assert replace(taxon, threshold=expected).is_there(of_one)


def test_a_coarser_name_is_said_only_where_nothing_finer_is() -> None:
    sure = {"a": Verdict(name="a", use=Use.ALONE, clips=50, sites=9, threshold=0.7)}
    genus = Coarser(rank="genus", name="G", classes=("a", "b"), threshold=0.8)
    family = Coarser(rank="family", name="F", classes=("a", "b", "c"), threshold=0.8)

    def say(**probability: float) -> list[tuple[str, Say]]:
        return what_to_say({"blank": 0.0, "a": 0.0, "b": 0.0, "c": 0.0, **probability}, sure, 0.9, (genus, family))

    assert say(a=0.7, b=0.3) == [("a", Say.SURE)]
    assert say(a=0.45, b=0.4) == [("G (genus)", Say.SURE)]
    assert say(a=0.3, b=0.25, c=0.3) == [("F (family)", Say.SURE)]
    assert say(blank=0.95, a=0.45, b=0.4) == [("blank", Say.SURE)]
    assert say(a=0.4, b=0.3) == [("a", Say.CHECK)]


def test_a_threshold_keeps_the_precision_that_is_wanted() -> None:
    """Planted: above 0.6 nineteen of twenty show it, below none; and a taxon whose sum says nothing at all."""
    rng = np.random.default_rng(1)
    count = 2000
    one = rng.random(count) / 2
    values = np.zeros((count, 4), np.uint8)
    probabilities = np.stack([one, one, rng.random(count) / 2, rng.random(count) / 2], axis=1)
    values[:, 0] = (one > 0.3) & (rng.random(count) < 0.95)
    values[:, 2] = rng.random(count) < 0.3
    fold, group = np.arange(count) % 5, np.arange(count) % 50
    taxa = [Coarser(rank="genus", name="G", classes=("a", "b")), Coarser(rank="genus", name="H", classes=("c", "d"))]
    good, bad = rollup_thresholds(taxa, tuple("abcd"), probabilities, values, fold, group, 0.9)
    assert good["usable"]
    assert good["threshold"] == pytest.approx(0.57, abs=0.02)
    assert good["honest_precision"] == pytest.approx(0.9, abs=0.02)
    assert good["named"] > good["clips"] * 0.95
    assert not bad["usable"]
    assert [each.name for each in usable_taxa([good, bad])] == ["G"]
    assert rollup_thresholds(taxa, tuple("abcd"), probabilities[:0], values[:0], fold[:0], group[:0], 0.9) == []


@pytest.fixture
def confused(make_run: MakeRun, tmp_path: Path) -> RunDirectory:
    """A run that knows two species from everything else, and not from each other."""
    run = make_run(classes=("blank", "bay duiker", "red duiker"), heads=("one",))
    labels, folds = run.read_labels(), run.read_folds()
    rng = np.random.default_rng(0)
    duiker = labels.values[:, 1:].any(axis=1)
    red = rng.random(len(duiker)) < 0.5
    values = np.stack([~duiker, duiker & ~red, duiker & red], axis=1).astype(np.uint8)
    run.write_labels(replace(labels, values=values))
    run.write_balance(balance_table(values, folds, labels.classes))
    half = rng.uniform(0.3, 0.6, len(labels.ids))
    there = np.where(duiker, 0.95, 0.04) + rng.normal(0, 0.01, len(half))
    probabilities = np.clip(np.stack([1 - there, there * half, there * (1 - half)], axis=1), 0.01, 0.99)
    run.write_oof(
        "one",
        Predictions(ids=labels.ids, classes=labels.classes, probabilities=probabilities, fold=folds.of(labels.ids)),
    )
    (tmp_path / "classes.csv").write_text(TABLE)
    blend_run(run, "mean", class_table=tmp_path / "classes.csv")
    return run


def test_species_that_are_mixed_up_are_named_by_their_genus(confused: RunDirectory, tmp_path: Path) -> None:
    (row,) = confused.read_metrics()["rollup"]
    assert (row["name"], row["rank"], row["classes"]) == ("Cephalophus", "genus", ["bay duiker", "red duiker"])
    assert row["usable"]
    assert row["wanted"] == 0.9
    new = out_of_fold_answers(confused)
    found = findings(confused, new, {}, {})
    genus = found[found["species"] == "Cephalophus (genus)"]
    labels = confused.read_labels()
    duiker = {clip_id for clip_id, row in zip(labels.ids, labels.values.tolist(), strict=True) if any(row[1:])}
    assert len(genus) >= 0.9 * len(duiker)
    assert set(genus["verdict"]) == {"sure"}
    assert genus["clip"].isin(duiker).mean() >= 0.85
    assert genus["probability"].astype(float).between(0.5, 1).all()
    write_report(confused)
    page = confused.report_path.read_text(encoding="utf-8")
    assert "Genus and family, where no species is sure" in page
    assert "Cephalophus (genus)" in page


def test_exports_name_the_genus(confused: RunDirectory, tmp_path: Path) -> None:
    def export(name: str, out: str) -> Path:
        words = ["export", str(confused.path), "--format", name, "--out", str(tmp_path / out)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return tmp_path / out

    wanted = "Cephalophus (genus)"
    long = pd.read_csv(export("long", "long.csv"))
    said = long[(long["class"] == wanted) & (long["said"] == 1)]
    assert set(said["scientificName"]) == {"Cephalophus"}
    assert not long[long["clip_id"].isin(said["clip_id"]) & (long["class"] == "red duiker")]["said"].any()
    timelapse = pd.read_csv(export("timelapse", "t.csv"))
    assert (timelapse["Species"] == wanted).sum() == len(said)
    again = blend_run(confused, "mean")
    assert again
    assert confused.read_metrics()["rollup"][0]["name"] == "Cephalophus"  # the table is kept
    assert confused.classes_path.read_text() == TABLE


def test_a_threshold_of_ones_own_says_species_only(confused: RunDirectory, tmp_path: Path) -> None:
    words = ["export", str(confused.path), "--format", "long", "--threshold", "0.4", "--out", str(tmp_path / "l.csv")]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert set(pd.read_csv(tmp_path / "l.csv")["class"]) == set(confused.read_oof(BLEND).classes)


def test_without_a_table_nothing_is_rolled_up(make_run: MakeRun) -> None:
    run = make_run(heads=("one",), n_clips=200)
    assert run.read_metrics()["rollup"] is None
    write_report(run)
    assert "Genus and family" not in run.report_path.read_text(encoding="utf-8")


def test_a_table_that_cannot_be_is_refused_before_it_is_kept(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(heads=("one",), n_clips=200)
    (tmp_path / "bad.csv").write_text("class,name\nduiker,x\n")
    with pytest.raises(LabelError, match="expected columns 'class' and 'scientificName'"):
        blend_run(run, "mean", class_table=tmp_path / "bad.csv")
    assert not run.classes_path.exists()
    assert json.loads((run.path / "blend.json").read_text())
