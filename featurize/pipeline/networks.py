"""From rows of tables to what runs: the networks of sources."""

from typing import Any

from featurize.backbones.runner import Runner, RuntimeName
from featurize.backbones.spec import resolve
from featurize.errors import SettingsError
from featurize.pipeline.source import FeatureSource
from store.console import native_chatter


def runner_of(source: FeatureSource, runtime: RuntimeName) -> Runner:
    """The network of a source, ready to run. TensorFlow is imported only where a network must be built."""
    if source.backbone.kind in ("rules", "sound"):
        runner: Runner = resolve(source.backbone)(source.backbone)
        return runner
    from featurize.runtime.compiled import CompiledNetworks
    from featurize.runtime.runners import (
        choose_runtime,
        make_kept_runner,
        make_onnx_runner,
        make_runner,
        precision_for,
    )

    kept, px = CompiledNetworks(source.backbone, source.weights, source.canvas.px), source.canvas.px
    if source.backbone.kind == "onnx":
        if runtime == "tensorflow":
            raise SettingsError(f"{source.backbone.name}: ONNX files are run by OpenVINO; leave --runtime out")
        choose_runtime("openvino")
        read = resolve(source.backbone)
        return make_onnx_runner(lambda batch: read(source.backbone, source.weights.path, px, batch), kept)

    def build() -> Any:
        with native_chatter(shown=False):
            from featurize.runtime.extractor import build_extractor

        return build_extractor(source.backbone, source.weights, px)

    chosen = choose_runtime(runtime)
    if chosen == "openvino":
        return make_kept_runner(build, kept)
    with precision_for(chosen):
        return make_runner(build(), chosen)
