"""The detector: its network against the reference implementation, its boxes, and what of them is believed."""

from pathlib import Path

import keras
import numpy as np
import pytest
from golden_pixels import golden_pixels
from moving import HEIGHT, TIMES_S, WIDTH, as_pixels, clip, overlap, walk
from PIL import Image
from seeded_tensors import seeded_tensors

from featurize.backbones.builders.tensor_file import tensors_sha256, write_tensor_file
from featurize.backbones.builders.yolox import build_yolox_tiny, load_tensors, tensor_names
from featurize.backbones.detectors import DETECTOR_STRIDES, DETECTORS, find_detector
from featurize.backbones.spec import WheelWeights
from featurize.backbones.weights import locate_weights, weights_available
from featurize.decoding.decode import decode
from featurize.detection.boxes import boxes_in, decoded, letterboxed, overlaps
from featurize.detection.over_time import believed, detect_over, surest, tracks_of
from featurize.detection.squares import squares_around
from featurize.errors import BackboneError, WeightsError
from featurize.motion.energy import Motion, find_motion
from featurize.motion.lowres import LowresFrames
from featurize.pipeline.networks import detector_of
from featurize.views.crops import ViewSpec
from featurize.views.registry import find_view
from featurize.views.resize import Canvas
from featurize.views.sampling import Sampling

GOLDENS = Path(__file__).parent / "goldens" / "yolox.npz"


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return build_yolox_tiny(96)


def tensor_shapes(network: keras.Model) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint in torch's layout."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            rows, columns, into, out = layer.kernel.shape
            shapes[f"{layer.name}.weight"] = (out, into, rows, columns)
            if layer.use_bias:
                shapes[f"{layer.name}.bias"] = (out,)
        elif layer.weights:
            shapes |= {f"{layer.name}.{part}": tuple(layer.gamma.shape) for part in ("weight", "bias")}
            shapes |= {f"{layer.name}.running_{part}": tuple(layer.gamma.shape) for part in ("mean", "var")}
    return shapes


def test_the_network_has_the_published_parameters_at_the_published_places(network: keras.Model) -> None:
    assert network.count_params() == DETECTORS["megadetector_lite"].parameters == 5_050_194
    by_part: dict[str, int] = {}
    for layer in network.layers:
        part = ".".join(layer.name.split(".")[:3]) if layer.name.startswith("backbone.backbone") else layer.name
        part = part if part.startswith("backbone.backbone") else part.split(".")[0]
        by_part[part] = by_part.get(part, 0) + layer.count_params()
    assert by_part["backbone.backbone.stem"] == 12 * 24 * 9 + 4 * 24
    stems, convolutions = (96 + 192 + 384) * 96 + 3 * 4 * 96, 12 * (96 * 96 * 9 + 4 * 96)
    assert by_part["head"] == stems + convolutions + 3 * 6 * (96 + 1)
    assert sorted(tensor_names(network)) == sorted(tensor_shapes(network))
    assert len(tensor_names(network)) == 388


def test_boxes_of_made_up_weights_equal_the_reference_implementation_s(network: keras.Model) -> None:
    load_tensors(network, seeded_tensors(tensor_shapes(network)), Path("made up"))
    raw = keras.ops.convert_to_numpy(network(golden_pixels(96, 96)[None].astype(np.float32) / 255))[0]
    expected = np.load(GOLDENS)["boxes"]
    assert expected.shape == (12 * 12 + 6 * 6 + 3 * 3, 6)
    corners, confidence = decoded(raw.reshape(-1, 6), DETECTOR_STRIDES, 96)
    middle, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    np.testing.assert_allclose(middle, expected[:, :2], atol=2e-3)
    np.testing.assert_allclose(size, expected[:, 2:4], rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(confidence, expected[:, 4] * expected[:, 5], atol=1e-4)


def test_tensors_of_another_network_are_refused(network: keras.Model) -> None:
    tensors = seeded_tensors(tensor_shapes(network))
    tensors["head.stems.1.conv.weight"] = tensors["head.stems.1.conv.weight"][:, :5]
    with pytest.raises(WeightsError, match=r"file.npz: the tensors of head.stems.1.conv are not those of yolox_tiny"):
        load_tensors(network, tensors, Path("file.npz"))
    with pytest.raises(BackboneError, match="detector 'yolo' is unknown, expected one of megadetector_lite"):
        find_detector("yolo")


def test_the_view_states_the_digest_and_the_size_of_its_detector() -> None:
    view = find_view("detector")
    detector = find_detector(view.needs_detector)
    assert isinstance(detector.weights, WheelWeights)
    assert view.settings()["detector.weights_sha256"] == detector.weights.sha256
    assert view.settings()["detector.input_px"] == detector.input_px


def test_a_picture_keeps_its_shape_at_the_upper_left_of_a_black_square() -> None:
    frame = np.full((45, 80, 3), 200, np.uint8)
    square = letterboxed(frame, 640)
    assert (square[:360] == 200).all()
    assert not square[360:].any()
    tall = letterboxed(np.full((100, 50, 3), 7, np.uint8), 64)
    assert (tall[:, :32] == 7).all()
    assert not tall[:, 32:].any()


def test_of_boxes_that_overlap_the_surest_is_kept_and_shares_are_of_the_picture() -> None:
    raw = np.full((84, 6), -9.0, np.float32)  # 64 px: 8 x 8, 4 x 4 and 2 x 2 places

    def put(place: int, x: float, y: float, side: float, sure: float, stride: int) -> None:
        raw[place] = x, y, np.log(side / stride), np.log(side / stride), sure, 9.0

    put(0, 2.0, 2.0, 16.0, 3.0, 8)  # around (16, 16)
    put(1, 1.1, 2.0, 16.0, 4.0, 8)  # nearly the same place, surer
    put(5, 0.0, 2.0, 8.0, 0.0, 8)  # around (40, 16)
    put(64, 0.5, 3.0, 8.0, -1.9, 16)  # around (8, 48): in the black below the picture
    put(7, 0.9, 0.0, 8.0, -2.3, 8)  # too unsure
    found = boxes_in(raw.ravel(), (8, 16, 32), 64, 320, 160)
    assert found.shape == (2, 5)
    np.testing.assert_allclose(found[0, :4], [8.8 / 64, 8 / 32, 24.8 / 64, 24 / 32], atol=1e-5)
    np.testing.assert_allclose(found[:, 4], [1 / (1 + np.exp(-4)), 0.5], atol=1e-3)


LOOKS_S = np.arange(0, 7.5, 0.5)


def look(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, np.float32).reshape(-1, 5)


def still_motion(difference: bool = False) -> Motion:
    cells = np.zeros((60, 22, 40), np.float32)
    apart = np.zeros((60, 22, 40) if difference else (0, 0, 0), np.float32)
    return Motion(times_s=TIMES_S, cells=cells, difference=apart)


def confidences(found: list[np.ndarray]) -> list[list[float]]:
    return [[round(float(box[4]), 2) for box in each] for each in found]


def test_what_is_sure_once_is_followed_where_it_is_less_sure_and_what_never_is_sure_is_not_believed() -> None:
    drifting = [look((0.1 + 0.02 * step, 0.2, 0.3 + 0.02 * step, 0.4, 0.12)) for step in range(4)]
    drifting[2][0, 4] = 0.6
    apart = [np.concatenate([each, look((0.7, 0.7, 0.9, 0.9, 0.2))]) for each in drifting]
    kept = believed(apart, LOOKS_S[:4], still_motion())
    assert confidences(kept) == [[0.12], [0.12], [0.6], [0.12]]
    torn = [apart[0], look(), *apart[2:]]
    assert confidences(believed(torn, LOOKS_S[:4], still_motion())) == [[], [], [0.6], [0.12]]


def test_boxes_over_half_the_frame_are_none() -> None:
    wide, fitting = (0.0, 0.0, 1.0, 0.51, 0.9), (0.0, 0.0, 1.0, 0.49, 0.8)
    assert confidences(believed([look(wide, fitting)], LOOKS_S[:1], still_motion())) == [[0.8]]


def test_what_stands_at_one_place_all_through_a_clip_and_never_moves_is_none() -> None:
    stump, hog = (0.2, 0.2, 0.4, 0.5, 0.65), (0.2, 0.2, 0.4, 0.5, 0.75)
    assert confidences(believed([look(hog)] * len(LOOKS_S), LOOKS_S, still_motion())) == [[0.75]] * len(LOOKS_S)
    always = [look(stump)] * len(LOOKS_S)
    assert confidences(believed(always, LOOKS_S, still_motion())) == [[]] * len(LOOKS_S)
    arriving = [look() if step < 4 else look(stump) for step in range(len(LOOKS_S))]
    assert confidences(believed(arriving, LOOKS_S, still_motion()))[-1] == [0.65]
    breathing = still_motion()
    breathing.cells[30, 6, 10] = 0.2
    assert confidences(believed(always, LOOKS_S, breathing)) == [[0.65]] * len(LOOKS_S)
    elsewhere = still_motion()
    elsewhere.cells[30, 20, 30] = 0.2
    assert confidences(believed(always, LOOKS_S, elsewhere)) == [[]] * len(LOOKS_S)
    assert confidences(believed([look(stump)], LOOKS_S[:1], still_motion())) == [[0.65]]


def test_what_the_other_clips_of_the_camera_show_too_is_none_and_what_they_do_not_is() -> None:
    stump, animal = (0.2, 0.2, 0.4, 0.5, 0.7), (0.6, 0.2, 0.8, 0.5, 0.6)
    against = still_motion(difference=True)
    against.difference[:, 8, 28] = 4.0
    passing = [look(stump, animal) if step < 4 else look() for step in range(len(LOOKS_S))]
    assert confidences(believed(passing, LOOKS_S, against)) == [[0.6]] * 4 + [[]] * 11
    resting = [look(stump, animal)] * len(LOOKS_S)
    assert confidences(believed(resting, LOOKS_S, against)) == [[0.6]] * len(LOOKS_S)


def test_a_box_continues_the_track_that_it_overlaps_most_and_each_track_once() -> None:
    first = look((0.1, 0.1, 0.3, 0.3, 0.9), (0.5, 0.5, 0.7, 0.7, 0.8))
    second = look((0.52, 0.5, 0.72, 0.7, 0.9), (0.11, 0.1, 0.31, 0.3, 0.5), (0.1, 0.1, 0.3, 0.3, 0.4))
    assert tracks_of([first, second]) == [[(0, 0), (1, 1)], [(0, 1), (1, 0)], [(1, 2)]]
    np.testing.assert_allclose(overlaps(first[0, :4], second[:, :4]), [0, 0.19 / 0.21, 1], atol=1e-5)


def test_the_detector_looks_twice_a_second_and_what_it_finds_is_known_of_every_moment() -> None:
    frames = as_pixels(clip(walk(first=20, last=44)))
    motion = find_motion(LowresFrames(frames), TIMES_S)
    asked: list[int] = []

    def detect(frame: np.ndarray) -> np.ndarray:
        bright = np.argwhere(frame.min(axis=2) > 215)
        asked.append(len(bright))
        if len(bright) < 50:
            return look()
        (top, left), (bottom, right) = bright.min(axis=0), bright.max(axis=0)
        return look((left / WIDTH, top / HEIGHT, right / WIDTH, bottom / HEIGHT, 0.9))

    found = detect_over(lambda place: frames[place], TIMES_S, motion, detect)
    assert len(asked) == 15
    assert found.shape == (60, 2, 5)
    assert not found[:17].any()
    assert not found[:, 1].any()
    left, top, right, bottom, sure = found[32, 0]
    assert sure == np.float32(0.9)
    assert overlap((left, top, right, bottom), (10 + 4 * 12, 40, 24)) > 0.7
    (square,) = squares_around(found[32], 16 / 9)
    assert square.around == pytest.approx((left, top, right, bottom))
    assert square.left < left < right < square.right
    assert square.top < top < bottom < square.bottom
    assert (square.energy, square.confidence) == (sure, sure)
    (nothing,) = squares_around(found[0], 16 / 9)
    assert nothing.covers_frame
    assert (nothing.energy, nothing.confidence, nothing.around) == (0, 0, (0, 0, 0, 0))


def test_a_photo_is_looked_at_once_and_cut_to_what_is_found_in_it(tmp_path: Path) -> None:
    Image.fromarray(golden_pixels(120, 160)).save(tmp_path / "photo.png")
    spec = ViewSpec(canvas=Canvas(px=32, rule="squash"), view="detector")
    box = (0.25, 0.25, 0.5, 0.5, 0.75)
    decoded = decode(tmp_path / "photo.png", Sampling(fps=1), [spec], detect=lambda _: look(box))
    crops = decoded.crops[spec]
    np.testing.assert_array_equal(crops.per_frame["detector_box"], [box[:4]])
    np.testing.assert_array_equal(crops.per_frame["detector_confidence"], [0.75])
    assert not crops.found_no_crop
    nothing = decode(tmp_path / "photo.png", Sampling(fps=1), [spec], detect=lambda _: look()).crops[spec]
    np.testing.assert_array_equal(nothing.per_frame["box"], [[0, 0, 1, 1]])
    assert nothing.found_no_crop


def test_of_many_boxes_the_two_surest_are_kept() -> None:
    many = look((0, 0, 0.1, 0.1, 0.3), (0.3, 0, 0.4, 0.1, 0.9), (0.6, 0, 0.7, 0.1, 0.5))
    np.testing.assert_array_equal(surest([many, look()])[..., 4], np.array([[0.9, 0.5], [0, 0]], np.float32))


def test_weights_that_are_not_here_are_asked_for_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    detector = find_detector("megadetector_lite")
    assert not weights_available(detector)
    with pytest.raises(WeightsError, match=r"are not on this machine; run `featurize weights megadetector_lite`"):
        detector_of(["whole", "detector"], "auto")
    assert detector_of(["whole", "animal"], "auto") is None
    made_up = {"a": np.ones(3, np.float32)}
    place = tmp_path / "models" / "megadetector_lite.npz"
    write_tensor_file(place, made_up)
    with pytest.raises(WeightsError, match=r"sha256 of its tensors is .*…, expected 30000d261a7e…; delete it, run"):
        locate_weights(detector)
    content = place.read_bytes()
    for damaged in (content[:100], content[:-30], b"", bytes(500), content.replace(b"descr", b"descs")):
        place.write_bytes(damaged)
        with pytest.raises(WeightsError, match="cannot be read as weights"):
            locate_weights(detector)
    assert tensors_sha256(made_up) != tensors_sha256({"a": np.ones((3, 1), np.float32)})


def test_the_published_detector_finds_the_animal_at_rest_and_nothing_where_nothing_is(
    real_data: Path, tmp_path: Path
) -> None:
    """Two frames of real clips, where the true weights are on this machine."""
    import cv2

    if not weights_available(find_detector("megadetector_lite")):
        pytest.skip("the detector's weights are not here; `featurize weights megadetector_lite` fetches them")
    detect = detector_of(["detector"], "openvino")
    assert detect is not None

    def frame_at(name: str, second: float) -> np.ndarray:
        video = cv2.VideoCapture(str(real_data / "chimpandsee_clips" / name))
        video.set(cv2.CAP_PROP_POS_MSEC, second * 1000)
        return video.read()[1][:, :, ::-1].copy()

    (hog,) = detect(frame_at("ACP000eh0n.mp4", 7))
    assert hog[4] > 0.75
    assert overlaps(hog[:4], np.array([[0.42, 0.50, 0.56, 0.73]], np.float32))[0] > 0.6
    assert detect(frame_at("ACP000e3xs.mp4", 10)).shape == (0, 5)
