"""Feature keys as they are for ever: a digest that changes asks every user to featurize everything again."""

import json
from pathlib import Path

import keras
import pytest
from saved_models import write_hub_model

from featurize.backbones.registry import find_backbone
from featurize.backbones.resolve import resolve_backbones
from featurize.backbones.spec import Backbone
from featurize.backbones.weights import Weights, locate_weights
from featurize.background.settings import background_settings
from featurize.pipeline.source import make_source
from featurize.views.registry import view_settings
from featurize.views.sampling import Sampling
from store import FeatureKey
from store.digest import settings_digest

GIVEN = Weights(path=None, sha256="0" * 64)
EACH_SECOND = Sampling(fps=3)
MOTION_VIEW = {
    "name": "motion",
    "low_px": 160,
    "low_fps": 8.0,
    "low_frames": 512,
    "motion.cell_px": 4,
    "motion.moving": 0.1,
    "motion.colourless": 0.1,
    "motion.colourless_share": 0.9,
    "motion.dense_s": 0.2,
    "motion.fewest_frames": 5,
    "motion.fit_share": 0.7,
    "motion.fit_stride": 7,
    "motion.gain_range": [0.5, 2.0],
    "motion.least_spread": 4.0,
    "motion.most_background_frames": 31,
    "motion.most_switches": 2,
    "motion.noise_floor": 0.05,
    "motion.noise_spreads": 4.0,
    "motion.settling_s": 0.5,
    "motion.smoothing_cells": 0.8,
    "motion.smoothing_s": 0.15,
    "steady.gain": 0.7,
    "steady.least_shift_px": 0.75,
    "steady.most_shift_px": 16.0,
    "steady.revision": 2,
    "steady.stride_px": 3,
    "boxes.most_boxes": 2,
    "boxes.moving": 0.1,
    "boxes.whole_frame": [0.0, 0.0, 1.0, 1.0],
    "boxes.caption": 0.09,
    "boxes.least_side": 0.2,
    "boxes.margin": 1.2,
    "boxes.most_overlap": 0.2,
    "boxes.share_of_first": 0.25,
    "boxes.share_of_peak": 0.4,
    "boxes.smear_cells": 0.5,
    "boxes.too_much": 0.5,
}
ANIMAL_VIEW = {
    **MOTION_VIEW,
    "name": "animal",
    "background.key_frames": 7,
    "background.fewest_key_frames": 3,
    "background.most_decoded_px": 50_000_000,
    "background.colourless": 0.1,
    "background.colourless_share": 0.9,
    "background.least_spread": 4.0,
    "background.scale_percentiles": [10.0, 50.0, 90.0],
    "background.alike": 0.35,
    "background.most_shift_px": 16.0,
    "background.detail_px": 4.0,
    "background.contrast_px": 8.0,
    "background.least_contrast": 0.03,
    "background.most_contrast": 2.5,
    "background.block_px": 15,
    "background.border_px": 6,
    "background.sketch_px": 4,
    "background.sketch_smoothing_px": 1.5,
    "background.sketch_length": 1000.0,
    "background.candidates": 32,
    "background.most_neighbours": 16,
    "background.fewest_neighbours": 4,
    "difference.agreeing": 2,
    "difference.begins": 3.0,
    "difference.reaches": 2.0,
    "difference.detail_px": 14.0,
    "difference.least_usual": 0.02,
    "difference.usual_quantile": 0.75,
    "difference.smoothing_cells": 0.8,
    "difference.look_s": 0.5,
    "difference.frames_a_look": 2,
    "difference.stays_s": 1.0,
    "difference.least_shift_px": 0.75,
    "difference.most_shift_px": 16.0,
    "difference.power": 0.7,
    "difference.most_inside": 0.5,
}
CONTRAST = {
    "contrast.mean": 115.0,
    "contrast.spread": 58.0,
    "contrast.share": 0.5,
    "contrast.gain_range": [0.2, 5.0],
}
DETECTOR_VIEW = {
    **ANIMAL_VIEW,
    "name": "detector",
    "detector": "megadetector_lite",
    "detector.weights_sha256": "31f8690fc62f9d0756f1e8c09b0b02e5ade106173ed0a30743d47c004f88f4e0",
    "detector.input_px": 640,
    "detector.resize": "upper left of a black square, bicubic",
    "detector.least_confidence": 0.1,
    "detector.most_shared": 0.45,
    "detector.look_s": 0.5,
    "detector.begins": 0.25,
    "detector.follows": 0.3,
    "detector.most_area": 0.5,
    "detector.stands_share": 0.9,
    "detector.stands_looks": 6,
    "detector.stands_overlap": 0.6,
    "detector.stands_sure": 0.7,
}
CHOSEN_BY_MOTION = {
    "mode": "motion",
    "frames": 8,
    "candidates_per_s": 4.0,
    "candidates": 240,
    "quiet_share": 0.25,
    "energy_power": 0.5,
    **{name: value for name, value in MOTION_VIEW.items() if name.startswith(("low_", "motion.", "steady."))},
}


def alike(found: object, expected: object) -> bool:
    """Whether two settings are the same JSON to the letter: 8 is not 8.0 there."""
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)


def key_of(
    backbone: Backbone, view: str = "whole", sampling: Sampling = EACH_SECOND, *, contrast: bool = False
) -> FeatureKey:
    return make_source(backbone, GIVEN, view, contrast=contrast).key(sampling)


def test_what_decides_about_motion_stands_in_keys_under_these_words_with_these_values() -> None:
    assert alike(view_settings("motion"), MOTION_VIEW)
    assert len(MOTION_VIEW) == 37
    assert alike(Sampling(frames=8, choose="motion").to_json(), CHOSEN_BY_MOTION)
    assert (
        settings_digest(view_settings("motion")) == "7aa9750509577902b89068b9834a10b30194872b2f9b5be5d502dcef733e5b81"
    )
    assert (
        settings_digest(Sampling(frames=8, choose="motion").to_json())
        == "cf361c6d8b7067b912195068b67d44a34f1fb47bd3d798333199f6952cf19b25"
    )


def test_what_decides_about_animals_stands_in_keys_under_these_words_with_these_values() -> None:
    """The second digest names the folder in which stores keep what clips are seen against."""
    assert alike(view_settings("animal"), ANIMAL_VIEW)
    assert (
        settings_digest(view_settings("animal")) == "c3eb9b501d4da320e41f7dd4d2b81f8e936689b15cb95576bc6da24195a89225"
    )
    assert settings_digest(background_settings()) == "2bffac933ab8e497a8b8c41819c2afba9d0f915bf3a4c73e884694bb0c071cad"


def test_what_decides_about_contrast_stands_in_keys_beside_that_and_not_at_all_in_those_of_before() -> None:
    assert alike(view_settings("animal", contrast=True), {**ANIMAL_VIEW, **CONTRAST})
    assert (
        settings_digest(view_settings("animal", contrast=True))
        == "2218778fa931e45c783b8e796a983eebf9fd822ca20997fddc7bfd5aef10503e"
    )


def test_what_decides_about_a_detector_stands_in_keys_under_these_words_with_these_values() -> None:
    assert alike(view_settings("detector"), DETECTOR_VIEW)
    assert (
        settings_digest(view_settings("detector")) == "f4ed70d80b0fdefb2c8906d869d217815ba9acfe5deb81ffc4e4f761be7438e7"
    )


@pytest.mark.parametrize(
    ("view", "sampling", "digest"),
    [
        ("whole", EACH_SECOND, "2c4b23eb1a2b7f3745a138da769b14e3430f464000fe4dc3085f930926fc19b2"),
        ("motion", EACH_SECOND, "d96a4851aaa329624e0c76f2bb73bbeeef79794024d548e6e0d340e178ad0ec9"),
        ("animal", EACH_SECOND, "d0d63760b4e3cd9ebc84e6697f75369b23c33cc428ea32040617155b076f5f10"),
        ("detector", EACH_SECOND, "fc199147b5a73ca83b95ec3714e33cdb1c028e9782291ad5eb576cf7ccaed6d7"),
        ("whole", Sampling(frames=8), "7dc8def0952693e133471f401641ae322c8c5b45a505e713922b15d1ceb306a3"),
        (
            "whole",
            Sampling(frames=8, choose="motion"),
            "ab7fd1266c9359bd2c0d847b88577e15995d16d5a2ac905bf88b727a76d0d17e",
        ),
    ],
    ids=["whole", "motion", "animal", "detector", "8 even", "8 by motion"],
)
def test_the_key_of_a_network_is_the_same_for_ever(view: str, sampling: Sampling, digest: str) -> None:
    key = key_of(find_backbone("efficientnet_lite0"), view, sampling)
    assert key.digest == digest
    assert key.folder == f"efficientnet_lite0-{view}-{digest[:12]}"


def test_the_key_of_squares_in_contrast_is_the_same_for_ever() -> None:
    key = key_of(find_backbone("efficientnet_lite0"), "animal", contrast=True)
    assert key.digest == "3631a0f594463c4742397579e359d94aecb400c705b181555bb0b09d62da75dd"
    assert key.folder == f"efficientnet_lite0-animal-{key.digest[:12]}"


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("phash", "175737bd34d403c5fe4d2535469722e07bba071420b2d2a38f962e8c0a651b13"),
        ("statistics", "45744e3cfc3fd9637e99604b4786f92c599acdf399ef0e53717ad2eb42fc8b06"),
        ("frames", "51a03c17843225727c80c3b9a4b33ed2370cc113620055a06c024126012f76ac"),
        ("hashes", "65d301a583d973f995b7b4bf8eadcefbce490aadb4e9eb8722fa49ac8f774564"),
        ("sound", "8df39488c4fdcbe5932f02468eab6aca37d8e6f66103f5e944e246aac5f2b6c0"),
        ("audio", "1f8a633cf66ad5b4224d75ef23afcc426e4d17bf2cafa831b53f1be11137d4ef"),
    ],
)
def test_the_key_of_rules_is_the_same_for_ever(name: str, digest: str) -> None:
    rules = find_backbone(name)
    assert make_source(rules, locate_weights(rules)).key(EACH_SECOND).digest == digest


def test_the_key_of_a_saved_model_is_the_same_for_ever(tmp_path: Path) -> None:
    """Its weights' digest is that of its bytes, which no two TensorFlows write alike; all else comes from the model."""
    (backbone,) = resolve_backbones([f"hub:{write_hub_model(tmp_path / 'tiny')}"], "block2,block1/unit,default")
    assert key_of(backbone).digest == "fd591dd7ac86154f63c1df313cb215ca5b13b8369e1ccf505f67c107734f96f7"


def test_the_key_of_a_keras_file_is_the_same_for_ever(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3))
    edges = keras.layers.Conv2D(5, 3, strides=2, name="edges")(image)
    keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(edges)).save(tmp_path / "mine.keras")
    (backbone,) = resolve_backbones([f"keras:{tmp_path / 'mine.keras'}"], "pool,edges")
    assert key_of(backbone).digest == "546b9bc6df93035a45a0539d8ed79bc121387a09ccbeb990a902cf44a452349c"
