"""A small draw of the corpus of benchmarks/corpus.py, and whether its eyes are good."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import corpus
from featurize.decoding.decode import decode
from featurize.decoding.formats import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from featurize.views.sampling import Sampling
from store import Status

# Among these are all containers, codecs and forms.
SEEDS = range(4284, 4334)


def test_numbers_are_read_out_of_pictures_and_out_of_no_others() -> None:
    assert [corpus.number_in(corpus.picture(number)) for number in range(2**corpus.NUMBER_BITS)] == list(range(4096))
    mixed = corpus.picture(7).copy()
    mixed[: corpus.HEIGHT // 2] = corpus.picture(900)[: corpus.HEIGHT // 2]
    assert corpus.number_in(mixed) is None
    assert corpus.number_in(np.rot90(corpus.picture(7))) is None
    assert corpus.number_in(np.full_like(mixed, 128)) is None


def test_a_false_frame_a_false_time_and_a_hole_are_noticed(tmp_path: Path) -> None:
    drawn = corpus.Drawn(seed=1, suffix=".mp4", codec="h264", fps=10.0, count=40)
    clip = decode(corpus.make(drawn, tmp_path), Sampling(frames=8), [corpus.SPEC])
    there = range(40)

    def faults(**changes: object) -> list[str]:
        return list(corpus.faults_of(drawn, replace(clip, **changes), Sampling(frames=8), there))  # type: ignore[arg-type]

    def crops(pixels: list[np.ndarray]) -> dict[str, object]:
        return {"crops": {corpus.SPEC: replace(clip.crops[corpus.SPEC], by_size=((np.arange(8), np.stack(pixels)),))}}

    frames = corpus.frames_in_order(clip)
    assert faults() == []
    assert "2 of 8 frames show no number" in faults(**crops([*frames[:6], *[np.zeros_like(frames[0])] * 2]))[0]
    assert "come twice" in faults(**crops([*frames[:7], frames[6]]))[0]
    assert "a frame stands" in faults(times_s=clip.times_s + np.r_[np.zeros(7), 0.3])[0]
    beginning = {"times_s": np.arange(8) / 10, **crops([corpus.picture(number) for number in range(8)])}
    assert "OK (), but 3." in faults(**beginning)[0]
    assert faults(status=Status.SHORT, reason="few")[0].startswith("SHORT: few")
    assert faults(status=Status.FAILED, reason="none")[0].startswith("FAILED, and 40 frames can be read")


@pytest.fixture(scope="module")
def examined() -> list[tuple[corpus.Drawn, corpus.Outcome]]:
    return corpus.examine_all(SEEDS, 2, lambda *_: None)


def test_drawn_clips_are_what_they_are_said_to_be(examined: list[tuple[corpus.Drawn, corpus.Outcome]]) -> None:
    faults = [f"{json.dumps(asdict(drawn))}: {fault}" for drawn, outcome in examined for fault in outcome.faults]
    assert faults == []


def test_the_small_draw_holds_something_of_everything(examined: list[tuple[corpus.Drawn, corpus.Outcome]]) -> None:
    counts = corpus.counts(examined)
    assert counts["frames"] > 200
    assert counts["forms"].keys() == corpus.FORM_SHARES.keys()
    assert counts["containers"].keys() == corpus.CONTAINERS.keys()
    assert counts["codecs"].keys() == corpus.ENCODERS.keys()
    assert {"OK", "SHORT", "PARTIAL"} <= counts["statuses"].keys()
    assert min(counts[kind] for kind in ("with_sound", "variable_rate", "turned", "begins_late")) > 0


def test_the_page_of_inputs_names_what_is_drawn() -> None:
    page = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
    assert set(corpus.CONTAINERS) >= VIDEO_SUFFIXES, "every suffix that is found is tried"
    for suffix, codecs in corpus.CONTAINERS.items():
        assert f"| `{suffix}` | {', '.join(codecs)} |" in page
    for suffix in IMAGE_SUFFIXES:
        assert f"`{suffix}`" in page
    for form, what in corpus.FORMS.items():
        assert f"| {form} | {what} |" in page
    assert ", ".join(f"{rate:g}" for rate in corpus.RATES) in page
