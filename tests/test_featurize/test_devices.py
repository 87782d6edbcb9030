"""Where networks run: on a machine with a GPU f32 is f32, f16 has a key of its own, and without one a sentence says so.

What cannot be seen here is a GPU: TensorFlow is told of one that is not there, and computes on the processor.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from indexed_clips import write_indexed_clip
from tiny_backbone import tiny_backbone
from typer.testing import CliRunner

import featurize
from featurize import api
from featurize.backbones.registry import BACKBONES
from featurize.backbones.runner import BATCH_FRAMES, GPU_BATCH_FRAMES, Runner
from featurize.backbones.weights import RANDOM_WEIGHTS
from featurize.cli import app
from featurize.errors import MachineError, SettingsError
from featurize.pipeline.networks import batch_frames_of, require_settings, runner_of
from featurize.pipeline.request import Request, carry_out
from featurize.pipeline.source import make_source
from featurize.pipeline.work import WORK_RUNNERS
from featurize.runtime import runners
from featurize.runtime.runners import choose_runtime
from store import FeatureStore

PIXELS = np.random.default_rng(0).integers(0, 256, (BATCH_FRAMES, 64, 96, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(BACKBONES, "tiny", tiny_backbone())  # type: ignore[arg-type]
    monkeypatch.setenv("TRAPLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(3):
        write_indexed_clip(folder / f"{number}.mp4", 30, fps=10)
    return folder


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine of whose GPU TensorFlow tells."""
    listed: Callable[..., list[Any]] = tf.config.list_physical_devices
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr("featurize.runtime.devices._SIGNS_OF_A_GPU", (str(tmp_path / "nvidiactl"),))
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind=None: ["GPU:0"] if kind == "GPU" else listed(kind)
    )
    yield
    tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurize.runtime.devices._SIGNS_OF_A_GPU", ())


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures TensorFlow was shown at once, each time."""
    seen: list[int] = []
    make = runners._tensorflow_runner

    def watched(extractor: Any) -> Runner:
        run = make(extractor)

        def watching(pixels: Any) -> Any:
            seen.append(len(pixels))
            return run(pixels)

        return watching

    monkeypatch.setattr(runners, "_tensorflow_runner", watched)
    return seen


def do(videos: Path, store: Path, **changes: Any) -> int:
    asked = Request(
        videos=[videos], backbones=["tiny"], weights=["random"], sampling=featurize.Sampling(fps=10), **changes
    )
    return carry_out(asked, store, watch=api._nothing, on_warning=lambda _: None).done


def features(store: Path, precision: str) -> np.ndarray:
    opened = FeatureStore.open(store)
    (key,) = [key for key in opened.keys() if key.precision == precision]
    reader = opened.reader(key)
    return np.stack([reader.row(row).features for row in range(len(reader.ids))])


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "gpu"], "--device gpu: TensorFlow sees no GPU on this machine; leave --device out, or install a"),
        (["--precision", "f16"], "--precision f16 is for GPUs, and TensorFlow sees none here; use bf16, int8 or f32"),
    ],
)
def test_a_gpu_that_is_not_there_is_one_sentence_and_nothing_is_made(
    clips: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    asked = [str(clips), "--store", str(tmp_path / "store"), "--backbone", "tiny", "--weights", "random", "--dry-run"]
    with pytest.raises(SettingsError, match=said):
        CliRunner().invoke(app, [*asked, *words], catch_exceptions=False)
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("gpu")
def test_f32_and_f16_of_a_gpu_stand_under_two_keys_and_f32_is_not_mixed(
    clips: Path, tmp_path: Path, batches: list[int]
) -> None:
    store = tmp_path / "store"
    assert do(clips, store) == 3
    assert do(clips, store, device="gpu", precision="f16") == 3
    assert do(clips, store, device="gpu") == 0
    assert do(clips, tmp_path / "processor", device="cpu", runtime="tensorflow") == 3
    assert set(batches) == {GPU_BATCH_FRAMES, BATCH_FRAMES}
    assert {key.precision for key in FeatureStore.open(store).keys()} == {"f32", "f16"}
    full, half = features(store, "f32"), features(store, "f16")
    np.testing.assert_allclose(full, features(tmp_path / "processor", "f32"), rtol=2e-3, atol=1e-5)
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half.astype(float), full.astype(float), rtol=0.05, atol=0.02)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_without_room_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any) -> Any:
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(runners, "_tensorflow_runner", lambda _: full)
    run = runner_of(make_source(tiny_backbone(), RANDOM_WEIGHTS), "auto")
    with pytest.raises(MachineError, match=r"no room for 16 pictures of 64 x 96 px at once; .*use --precision f16, or"):
        run(PIXELS)


@pytest.mark.usefixtures("gpu")
def test_f32_of_a_gpu_keeps_all_its_bits() -> None:
    tf.config.experimental.enable_tensor_float_32_execution(True)
    runner_of(make_source(tiny_backbone(), RANDOM_WEIGHTS), "auto")
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


@pytest.mark.usefixtures("gpu")
def test_the_processor_is_taken_where_it_is_asked_for(batches: list[int]) -> None:
    source = make_source(tiny_backbone(), RANDOM_WEIGHTS)
    assert (choose_runtime("auto", device="cpu"), choose_runtime("auto")) == ("openvino", "tensorflow")
    assert [batch_frames_of(source, "auto", device) for device in ("cpu", "auto", "gpu")] == [
        BATCH_FRAMES,
        GPU_BATCH_FRAMES,
        GPU_BATCH_FRAMES,
    ]
    assert batch_frames_of(make_source(BACKBONES["phash"], RANDOM_WEIGHTS), "auto", "gpu") == BATCH_FRAMES
    runner_of(source, "auto", "cpu")(PIXELS)
    assert batches == []
    runner_of(source, "tensorflow", "cpu")(PIXELS)
    assert batches == [BATCH_FRAMES]


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("runtime", "precision", "device", "said"),
    [
        ("auto", "bf16", "gpu", "--precision bf16 is for the CPU; with --device gpu use f16, or f32"),
        ("auto", "int8", "gpu", "--precision int8 is for the CPU; with --device gpu use f16, or f32"),
        ("auto", "f16", "cpu", "--precision f16 is for GPUs; leave --device cpu out, or use bf16 or int8"),
        ("openvino", "f16", "auto", "--precision f16 is run by TensorFlow; leave --runtime out"),
        ("openvino", "f32", "gpu", "--device gpu is run by TensorFlow; leave --runtime out"),
        ("tensorflow", "bf16", "auto", "--precision bf16 is run by OpenVINO; leave --runtime out, or --precision"),
    ],
)
def test_what_does_not_go_together_is_said(runtime: Any, precision: Any, device: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        choose_runtime(runtime, precision, device)


@pytest.mark.usefixtures("gpu")
def test_networks_that_cannot_be_brought_to_a_gpu_are_said() -> None:
    onnx = make_source(tiny_backbone(kind="onnx"), RANDOM_WEIGHTS)
    with pytest.raises(SettingsError, match="tiny: ONNX files are run by OpenVINO, on the CPU; leave --device gpu"):
        require_settings(onnx, "auto", "gpu")
    own = make_source(tiny_backbone("keras:own"), RANDOM_WEIGHTS, precision="f16")
    with pytest.raises(SettingsError, match="keras:own: computes in what it was saved with; leave --precision f16 out"):
        require_settings(own, "auto", "gpu")


def test_a_runner_of_work_that_knows_no_device_works_as_before(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(plan: Any, store: Any, *, runtime: Any, workers: Any, clips_per_part: Any, on_clip: Any) -> Any:
        return featurize.extract(plan, store, runtime=runtime, on_clip=on_clip)

    monkeypatch.setitem(WORK_RUNNERS, "older", older)  # type: ignore[arg-type]
    assert do(clips, tmp_path / "store", work_runner="older") == 3
