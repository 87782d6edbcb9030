"""The detectors of animals that Trapline knows, in one table."""

from collections.abc import Mapping

from featurize.backbones.spec import NETWORK_OUTPUT, Backbone, Preprocessing, Tap, WheelWeights
from featurize.errors import BackboneError

DETECTOR_STRIDES = (8, 16, 32)
_SIDE_PX = 640
_NUMBERS = 6 * sum((_SIDE_PX // stride) ** 2 for stride in DETECTOR_STRIDES)

DETECTORS: Mapping[str, Backbone] = {
    detector.name: detector
    for detector in (
        Backbone(
            name="megadetector_lite",
            input_px=_SIDE_PX,
            preprocessing=Preprocessing(name="none", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0)),
            taps=(Tap(name="boxes", layer=NETWORK_OUTPUT, channels=_NUMBERS, stride=0),),
            builder="featurize.backbones.builders.yolox:yolox_network",
            any_shape=False,
            weights=WheelWeights(
                requirement="zamba==2.7.2",
                wheel="zamba-2.7.2-py3-none-any.whl",
                member="zamba/object_detection/yolox/assets/yolox_tiny_640_20220528.pth",
                bytes=40_571_013,
                sha256="31f8690fc62f9d0756f1e8c09b0b02e5ade106173ed0a30743d47c004f88f4e0",
                part="model",
                file="megadetector_lite.npz",
                tensors_sha256="30000d261a7e0cd08ba212777d9ce375b59e519ec84b2ec04c5ebe0f287114ef",
            ),
            parameters=5_050_194,
            licence="MIT",
            reference="DrivenData, zamba: MegadetectorLite, a YOLOX-tiny taught by MegaDetector's boxes",
        ),
    )
}


def find_detector(name: str) -> Backbone:
    """The detector called `name`.

    Raises:
        BackboneError: there is none of that name.
    """
    if name not in DETECTORS:
        raise BackboneError(f"detector {name!r} is unknown, expected one of {', '.join(DETECTORS)}")
    return DETECTORS[name]
