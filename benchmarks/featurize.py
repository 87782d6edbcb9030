"""How much of a bare network's speed is left end to end, and whether memory grows with the number of clips.

    python -m benchmarks.featurize speed CLIPS --backbone efficientnet_lite0 --backbone resnet50
    python -m benchmarks.featurize speed CLIPS --precision f32 --precision bf16 --precision int8
    python -m benchmarks.featurize speed CLIPS --device gpu --precision f32 --precision f16
    python -m benchmarks.featurize memory CLIPS --count 200

Prints one JSON line. `bare` is frames a second of the network on ready pixels in TensorFlow's graph mode, full batches,
which is what a plain Keras user can hope for; it is measured before and after the run between, so that a machine whose
speed drifts biases neither. `end_to_end` is decode, resize, network and store together, from a quarter of the clips to
the last commit. `ratio` is end to end over bare; `ratio_per_processor_s` is the same per second of processor time,
which other programs on the machine disturb less; `ratio_same_runtime` is end to end over the bare network in the
runtime, and the precision, that was used end to end; with several `--precision` all are run between the same two
measurements of the bare networks. With `--device gpu` the bare network runs there too, in batches as large as those of
the run; `waiting_for_decode` tells whether decoders kept it fed (`--workers`, by default as many as processors).
Weights are untrained where pretrained ones are not at hand; speed does not depend on them. CLIPS is a folder; its clips
are linked under new names as often as it takes.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from featurize.backbones.registry import find_backbone
from featurize.backbones.runner import FULL, DeviceName, Precision, Runner, RuntimeName
from featurize.backbones.spec import Backbone
from featurize.backbones.weights import RANDOM_WEIGHTS, locate_weights, weights_available
from featurize.decoding.decode import decode
from featurize.pipeline.calibration import quantised_sources
from featurize.pipeline.discover import Clip, survey
from featurize.pipeline.extract import extract
from featurize.pipeline.networks import batch_frames_of, full_network, runner_of
from featurize.pipeline.plan import make_plan
from featurize.pipeline.source import FeatureSource, make_source
from featurize.pipeline.summary import Progress
from featurize.views.sampling import Sampling
from store import FeatureStore

BARE_SECONDS = 8.0
RUNTIMES: tuple[Literal["openvino", "tensorflow"], ...] = ("openvino", "tensorflow")


def linked_clips(folder: Path, into: Path, count: int, first: int = 0) -> list[Clip]:
    """`count` clips: those of `folder`, in turn, under names of their own, which are numbers from `first` on."""
    found = [clip for clip in survey([folder]).clips if clip.size_bytes > 0]
    into.mkdir(parents=True)
    for number in range(count):
        source = found[number % len(found)].path
        (into / f"{first + number:04d}{source.suffix}").symlink_to(source.absolute())
    return list(survey([into]).clips)


def source_of(backbone: Backbone) -> FeatureSource:
    weights = locate_weights(backbone, offline=True) if weights_available(backbone) else RANDOM_WEIGHTS
    return make_source(backbone, weights)


def processor_seconds() -> float:
    """What this process and the decoders it has waited for have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def timed_run(
    clips: list[Clip],
    source: FeatureSource,
    sampling: Sampling,
    warm: int,
    **how: Any,
) -> dict[str, float]:
    """Frames a second, and per processor second, from the `warm`th clip to the last commit."""
    marks: dict[str, float] = {}

    def report(progress: Progress) -> None:
        if progress.clips == warm:
            marks.update(start=time.perf_counter(), frames=progress.frames, wait=progress.wait_s)
            marks["processor"] = processor_seconds()

    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.open(Path(folder) / "store", create=True)
        plan = make_plan(clips, [source], sampling, store)
        done = extract(plan, store, on_clip=report, **how)
        seconds = time.perf_counter() - marks["start"]
        processor = processor_seconds() - marks["processor"]
    return {
        "frames_per_s": (done.frames - marks["frames"]) / seconds,
        "frames_per_processor_s": (done.frames - marks["frames"]) / processor,
        "waiting_for_decode": (done.wait_s - marks["wait"]) / seconds,
    }


def bare_speed(run: Callable[[Any], Any], batch: Any) -> NDArray[np.float64]:
    """Frames a second, and per processor second, of a compiled network on one full batch, again and again."""
    run(batch)
    started, used, rounds = time.perf_counter(), processor_seconds(), 0
    while time.perf_counter() - started < BARE_SECONDS or rounds < 2:
        run(batch)
        rounds += 1
    return rounds * len(batch) / np.array([time.perf_counter() - started, processor_seconds() - used])


def measure(
    clips: list[Clip],
    name: str,
    sampling: Sampling,
    runtime: RuntimeName,
    precisions: Sequence[Precision],
    device: DeviceName,
    workers: int | None,
) -> dict[str, Any]:
    """The network bare in both runtimes, and end to end in each precision between two such measurements."""
    from featurize.runtime.runners import choose_runtime

    source = source_of(find_backbone(name))
    ((_, frames),) = decode(clips[0].path, sampling, [source.view_spec]).crops[source.view_spec].by_size
    batch = np.resize(frames, (batch_frames_of(source, runtime, device), *frames.shape[1:]))
    bare_runtimes = [each for each in RUNTIMES if each == "tensorflow" or device != "gpu"]
    with tempfile.TemporaryDirectory() as folder:
        wanted = {each: in_precision(source, each, clips, Path(folder)) for each in precisions}
        runners: dict[str, Runner] = {each: runner_of(source, each, device) for each in bare_runtimes}
        runners |= {each: runner_of(wanted[each], runtime, device) for each in precisions if each != FULL}
        before = {each: bare_speed(run, batch) for each, run in runners.items()}
        warm = max(1, len(clips) // 4)
        whole = {
            each: timed_run(clips, wanted[each], sampling, warm, runtime=runtime, device=device, workers=workers)
            for each in precisions
        }
    speeds = {each: (before[each] + bare_speed(run, batch)) / 2 for each, run in runners.items()}
    bare, bare_processor = speeds["tensorflow"]

    def row(precision: Precision) -> dict[str, Any]:
        found = whole[precision]
        same = speeds[choose_runtime(runtime, precision, device) if precision == FULL else precision]
        return {
            "end_to_end": round(found["frames_per_s"], 2),
            "waiting_for_decode": round(found["waiting_for_decode"], 3),
            "ratio": round(found["frames_per_s"] / bare, 3),
            "ratio_per_processor_s": round(found["frames_per_processor_s"] / bare_processor, 3),
            "ratio_same_runtime": round(found["frames_per_s"] / same[0], 3),
        }

    return {
        "shape": list(frames.shape[1:3]),
        "bare": {each: round(speed[0], 2) for each, speed in speeds.items()},
        **row(precisions[0]),
        "precisions": {each: row(each) for each in precisions},
    }


def in_precision(source: FeatureSource, precision: Precision, clips: list[Clip], folder: Path) -> FeatureSource:
    """The source in another precision; its network is quantised by pictures of the clips."""
    asked = replace(source, precision=precision)
    (found,) = quantised_sources([asked], clips, [folder], full_network, workers=os.cpu_count() or 1)
    return found


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(clips: list[Clip], name: str, sampling: Sampling, runtime: RuntimeName) -> dict[str, Any]:
    """Resident memory while clips go through: the largest after a quarter of them, and the largest at all."""
    seen: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.open(Path(folder) / "store", create=True)
        plan = make_plan(clips, [source_of(find_backbone(name))], sampling, store)
        extract(plan, store, runtime=runtime, on_clip=lambda _: seen.append(resident_mb()))
    quarter = len(seen) // 4
    first, rest = max(seen[:quarter]), max(seen[quarter:])
    return {
        "benchmark": "featurize memory",
        "backbone": name,
        "clips": len(seen),
        "peak_mb_first_quarter": round(first),
        "peak_mb_rest": round(rest),
        "ratio": round(rest / first, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "memory"))
    parser.add_argument("clips", type=Path)
    parser.add_argument("--backbone", action="append")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--fps", type=float, default=3.0)
    parser.add_argument("--runtime", choices=("auto", "tensorflow", "openvino"), default="auto")
    parser.add_argument("--device", choices=get_args(DeviceName), default="auto")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--precision", action="append", choices=get_args(Precision))
    words = parser.parse_args()
    sampling = Sampling(fps=words.fps)
    names = words.backbone or ["efficientnet_lite0"]
    with tempfile.TemporaryDirectory() as folder:
        clips = linked_clips(words.clips, Path(folder) / "clips", words.count)
        if words.what == "memory":
            result = memory(clips, names[0], sampling, words.runtime)
        else:
            how = (sampling, words.runtime, words.precision or [FULL], words.device, words.workers)
            found = {name: measure(clips, name, *how) for name in names}
            ratios = {name: row["ratio"] for name, row in found.items()}
            result = {"benchmark": "featurize speed", "clips": len(clips), "backbones": found, "ratios": ratios}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
