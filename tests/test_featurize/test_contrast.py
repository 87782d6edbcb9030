"""Squares in a more usual contrast: what becomes of their levels, who sees them so, and what stands in keys."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moving import FPS, HEIGHT, WIDTH, as_pixels, clip, walk
from numpy.typing import NDArray
from PIL import Image
from tiny_backbone import tiny_backbone

from featurize import api
from featurize.backbones.registry import BACKBONES
from featurize.backbones.weights import locate_weights
from featurize.commands.run import write_previews
from featurize.decoding.decode import decode
from featurize.demo.scenes import write_video
from featurize.errors import SettingsError
from featurize.motion.boxes import WHOLE_FRAME
from featurize.pipeline.for_run import choose_contrast, sources_of
from featurize.pipeline.request import Request, carry_out
from featurize.pipeline.source import make_source
from featurize.views.contrast import contrast_settings, even_out
from featurize.views.crops import Crops, ViewSpec
from featurize.views.registry import VIEWS, has_contrast
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling
from store import FeatureKey, FeatureStore
from store.maintenance.sweep import forget_backgrounds

SAMPLING = Sampling(fps=2)


def square(*levels: int, side: int = 8) -> NDArray[np.uint8]:
    """A grey square with the levels in columns, in turn."""
    columns = np.resize(np.array(levels, np.uint8), side)
    return np.broadcast_to(columns[None, :, None], (side, side, 3)).copy()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((60, 100), (63, 132)),  # mean 80 to 97.5, spread 20 times the root of 2.9
        ((0, 255), (35, 207)),  # mean 127.5 to 121.25, spread 127.5 by the root of 0.4549 to 86.0
        ((57, 173), (57, 173)),  # usual already
        ((100, 102), (106, 110)),  # a spread of one would have to grow 58 times: five times, of which the root
        ((*[78] * 7, 253), (86, 255)),  # what is beyond white is white
        ((*[178] * 7, 3), (157, 0)),
        ((40,), (78,)),  # flat: from 40 half way to 115, and nothing else
        ((115,), (115,)),
        ((0,), (58,)),  # 57.5, to the even one
        ((255,), (185,)),
    ],
)
def test_levels_go_half_way_to_a_usual_mean_and_spread(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    picture = square(*before)
    given = picture.copy()
    seen = even_out(picture)
    assert seen.dtype == np.uint8
    assert seen.shape == picture.shape
    np.testing.assert_array_equal(np.unique(seen), np.unique(after))
    np.testing.assert_array_equal(picture, given)


def test_colours_share_one_table_by_their_luminance() -> None:
    """Red, green and blue of (200, 50, 50) and of (20, 70, 70), of luminances 95 and 55: mean 75, spread 20."""
    picture = square(0)
    picture[:, ::2], picture[:, 1::2] = (200, 50, 50), (20, 70, 70)
    table = {level: round(95 + 2.9**0.5 * (level - 75)) for level in (200, 50, 20, 70)}
    expected = np.vectorize(lambda level: min(max(table[level], 0), 255))(picture)
    np.testing.assert_array_equal(even_out(picture), expected)
    flat = np.broadcast_to(np.array([200, 50, 50], np.uint8), (4, 4, 3)).copy()
    np.testing.assert_array_equal(even_out(flat), flat + 10)


def test_the_same_square_gives_the_same_bits_for_ever() -> None:
    rows, columns, channels = np.indices((96, 128, 3))
    picture = ((rows**2 + 3 * columns * (channels + 1)) % 149 + rows // 2).astype(np.uint8)
    seen = even_out(picture)
    assert (
        hashlib.sha256(seen.tobytes()).hexdigest() == "379d67b4e635253a851e7bec1e8b9f6f986352d1f252c8c23ea95c1390832620"
    )


def frames(*paths: object, seed: int) -> Iterator[np.ndarray]:
    noise = np.random.default_rng(seed).normal(0, 2, (60, HEIGHT, WIDTH, 3))
    return iter(as_pixels((clip(*paths) + noise).astype(np.float32)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trap")
    for number in range(2):
        write_video(folder / f"{number}.mp4", frames(walk(), seed=number), fps=FPS)
    return folder


def in_order(crops: Crops) -> list[NDArray[np.uint8]]:
    found = {int(place): each for places, pixels in crops.by_size for place, each in zip(places, pixels, strict=True)}
    return [found[place] for place in range(len(found))]


@pytest.mark.parametrize("sampling", [SAMPLING, Sampling(frames=16, choose="motion")], ids=["2/s", "by motion"])
def test_squares_are_changed_and_whole_frames_are_not(trap: Path, sampling: Sampling) -> None:
    plain = ViewSpec(canvas=Canvas(px=64), view="motion")
    evened = replace(plain, contrast=True)
    decoded = decode(trap / "0.mp4", sampling, [plain, evened])
    before, after = decoded.crops[plain], decoded.crops[evened]
    whole = (before.per_frame["box"] == WHOLE_FRAME).all(axis=1)
    assert 0 < whole.sum() < len(whole)
    for name, numbers in before.per_frame.items():
        np.testing.assert_array_equal(after.per_frame[name], numbers)
    for is_whole, was, seen in zip(whole, in_order(before), in_order(after), strict=True):
        np.testing.assert_array_equal(seen, was if is_whole else even_out(was))
    assert any((was != seen).any() for was, seen in zip(in_order(before), in_order(after), strict=True))


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tiny", "other"):
        monkeypatch.setitem(BACKBONES, name, tiny_backbone(name))  # type: ignore[arg-type]


def key_of(view: str = "animal", backbone: str = "tiny", *, contrast: bool) -> FeatureKey:
    row = BACKBONES[backbone]
    return make_source(row, locate_weights(row), view, contrast=contrast).key(SAMPLING)


@pytest.mark.usefixtures("_tiny")
def test_only_networks_and_only_under_the_view_that_says_so() -> None:
    assert {name for name, view in VIEWS.items() if view.evens_contrast} == {"animal"}
    old, new = key_of(contrast=False), key_of(contrast=True)
    assert {**old.view, **contrast_settings()} == new.view
    assert not old.view.keys() & contrast_settings().keys()
    assert (has_contrast(old.view), has_contrast(new.view)) == (False, True)
    for view in ("whole", "motion", "detector"):
        assert key_of(view, contrast=True) == key_of(view, contrast=False)
    assert key_of(backbone="phash", contrast=True) == key_of(backbone="phash", contrast=False)


@pytest.mark.usefixtures("_tiny")
def test_a_key_of_before_and_one_of_now_are_both_made_as_they_say() -> None:
    old, new = key_of(contrast=False), key_of(contrast=True)
    made = sources_of([old, new], [], [], offline=True)
    assert [source.key(SAMPLING) for source in made] == [old, new]
    assert [source.view_spec.contrast for source in made] == [False, True]
    other = replace(new, view={**new.view, "contrast.spread": 60.0})
    with pytest.raises(SettingsError, match=r"does not have \(contrast.spread=60; here contrast.spread=58\)"):
        sources_of([other], [], [], offline=True)


def filled(root: Path, *keys: FeatureKey) -> FeatureStore:
    store = FeatureStore.open(root, create=True)
    for key in keys:
        with store.writer(key):
            pass
    return store


def featurized(videos: Path, store: FeatureStore | Path, *backbones: str, **changes: object) -> list[str]:
    """What was warned of."""
    said: list[str] = []
    asked = Request(videos=[videos], backbones=backbones, sampling=SAMPLING, views=["animal"], offline=True)
    carry_out(replace(asked, **changes), store, watch=api._nothing, on_warning=said.append)  # type: ignore[arg-type]
    return said


def keys_in(root: Path) -> set[str]:
    return {key.digest for key in FeatureStore.open(root).keys()}


@pytest.mark.usefixtures("_tiny")
def test_a_store_goes_on_as_it_was_begun(trap: Path, tmp_path: Path) -> None:
    old, new = key_of(contrast=False), key_of(contrast=True)
    assert not featurized(trap, tmp_path / "new", "tiny")
    assert keys_in(tmp_path / "new") == {new.digest}
    assert not featurized(trap, tmp_path / "old", "tiny", keys=[old])
    assert keys_in(tmp_path / "old") == {old.digest}
    assert not featurized(trap, tmp_path / "old", "tiny", "other")
    assert keys_in(tmp_path / "old") == {old.digest, key_of(backbone="other", contrast=False).digest}
    forget_backgrounds(FeatureStore.open(tmp_path / "old"))
    assert not featurized(trap, tmp_path / "old", "tiny")
    assert keys_in(tmp_path / "old") == {new.digest}
    rows = [FeatureStore.open(tmp_path / name).reader(new).row(0).features for name in ("new", "old")]
    np.testing.assert_array_equal(*rows)


@pytest.mark.usefixtures("_tiny")
def test_of_two_kinds_in_a_store_that_of_the_backbone_counts_and_then_the_new_one(tmp_path: Path) -> None:
    old, new = (key_of(contrast=contrast) for contrast in (False, True))
    other = key_of(backbone="other", contrast=True)
    assert choose_contrast("animal", "tiny", ())
    for keys, expected in [
        ((), True),
        ((key_of("motion", contrast=False), key_of("whole", contrast=False)), True),
        ((old,), False),
        ((new,), True),
        ((old, new), True),
        ((old, other), False),
        ((key_of(backbone="phash", contrast=False),), True),  # `--triage` has made it
    ]:
        store = filled(tmp_path / str(len(list(tmp_path.iterdir()))), *keys)
        assert choose_contrast("animal", "tiny", store.keys()) is expected
    assert choose_contrast("animal", "third", filled(tmp_path / "last", old, other).keys())


@pytest.mark.usefixtures("_tiny")
def test_a_sheet_shows_squares_as_networks_see_them(trap: Path, tmp_path: Path) -> None:
    """With too few other clips the boxes are those of what moves, so that nothing but the contrast differs."""
    begun = filled(tmp_path / "store", key_of(contrast=False)).root
    for name, view, store in (("plain", "motion", None), ("new", "animal", None), ("as before", "animal", begun)):
        folder = tmp_path / name
        write_previews([trap], SAMPLING, folder, views=[view], store=store, workers=1, limit=1, as_json=True)
    sheets = {name: (tmp_path / name / "0.mp4.jpg").read_bytes() for name in ("plain", "new", "as before")}
    assert sheets["as before"] == sheets["plain"]
    with Image.open(tmp_path / "new/0.mp4.jpg") as new, Image.open(tmp_path / "plain/0.mp4.jpg") as plain:
        apart = np.abs(np.asarray(new).astype(int) - np.asarray(plain)).max(axis=2) > 20
    assert 0.001 < apart.mean() < 0.2
