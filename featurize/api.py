"""What the `featurize` command does, as functions of a notebook or a script."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from featurize.backbones.runner import FULL, DeviceName, Precision, RuntimeName
from featurize.errors import FeaturizeWarning
from featurize.pipeline.for_run import choose_sampling
from featurize.pipeline.plan import Plan
from featurize.pipeline.progress_bar import progress_bar
from featurize.pipeline.request import Request, carry_out, plan_request
from featurize.pipeline.summary import Progress, Summary
from featurize.pipeline.work import IN_PROCESS
from featurize.remote.root import Remote, places
from featurize.remote.scratch import DEFAULT_SCRATCH_GB
from featurize.views.registry import DEFAULT_VIEW
from featurize.views.sampling import MAX_FRAMES, Sampling
from store import FeatureStore
from store.console import stderr_console

Videos = str | Path | Sequence[str | Path]
GivenWeights = str | Path | Mapping[str, str | Path]


def run(
    videos: Videos,
    store: str | Path | FeatureStore,
    *,
    backbones: str | Sequence[str],
    views: str | Sequence[str] = DEFAULT_VIEW,
    sites: str | Path | None = None,
    fps: float | None = None,
    frames: int | None = None,
    max_frames: int = MAX_FRAMES,
    choose: Literal["even", "motion"] = "even",
    weights: GivenWeights | None = None,
    taps: Sequence[str] | None = None,
    preprocessing: str | None = None,
    input_px: int | None = None,
    resize: str | None = None,
    offline: bool = False,
    limit: int | None = None,
    retry_failed: bool = False,
    relink: bool | None = None,
    replace: bool = False,
    runtime: RuntimeName = "auto",
    device: DeviceName = "auto",
    precision: Precision = FULL,
    store_precision: Literal["float16", "int8"] = "float16",
    workers: int | None = None,
    clips_per_part: int = 256,
    scratch_gb: float = DEFAULT_SCRATCH_GB,
    work_runner: str = IN_PROCESS,
    runner_settings: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Summary:
    """Run pretrained networks over clips once, and cache their features; what `store` holds already is skipped.

    Example:
        import featurize

        summary = featurize.run("clips", "STORE", backbones="efficientnet_lite0", views=["whole", "motion"], fps=3)
        print(summary.done, "clips done;", summary.failures)

    Args:
        videos: a folder of clips, which is searched in depth, a single file, or several of them; or URLs of such
            (s3://, gs://, https://, sftp://), whose clips are fetched one after the other.
        store: the store, or its folder, which is made if it is missing.
        backbones: names of networks: `featurize --list-backbones` lists them; or `hub:HANDLE`, `keras:FILE.keras`,
            `onnx:FILE.onnx`.
        views: what part of a frame networks see: names of views.
        sites: a CSV of `filename`, `site`, `deployment`: views that compare clips compare those of one deployment.
        fps: frames a second.
        frames: frames a clip, instead of `fps`; if neither is given, as the store has it,
            8 chosen by motion in a new one.
        max_frames: with `fps`: a clip that would give more is sampled more thinly.
        choose: with `frames`: "even", or "motion" for those that carry most motion.
        weights: a weights file instead of the published one; with several backbones a file by name. "random" leaves a
            network untrained.
        taps: of `hub:HANDLE`, `keras:FILE.keras` or `onnx:FILE.onnx`: what to keep.
        preprocessing: of `onnx:FILE.onnx`, what its pixels are: `imagenet`, `clip`, `unit`, `signed` or `raw`; what the
            YAML file beside it says if None.
        input_px: nominal side of the networks' input; each one's own if None.
        resize: how frames are brought to that size: `equal_area`, `squash`, `centre_crop` or `letterbox`; each
            network's own if None.
        offline: never download weights.
        limit: do at most so many clips.
        retry_failed: do clips again that failed before or broke part way.
        relink: first recognise clips that only moved, by their content; False computes them again under their new
            names, None stops where they did.
        replace: whether clips of another place and content may take the place of stored ones of the same names.
        runtime: what runs the networks: "auto" is OpenVINO on a CPU, TensorFlow on a GPU.
        device: where they run: "auto" is a GPU that TensorFlow sees, or the CPU; or "cpu", or "gpu".
        precision: what networks compute in: "f32", "bf16" where the processor has it, "f16" on a GPU, or "int8", for
            which a network is quantised once a store, by pictures of these clips.
        store_precision: what features of networks are stored as; "int8" rounds them, for half of the disk.
        workers: decoding threads; as many as there are processors if None.
        clips_per_part: clips after which a part is committed, at the latest.
        scratch_gb: most GB of fetched clips in the folder for temporary files at any time, of `videos` behind URLs.
        work_runner: who carries the plan out: a name of `featurize.pipeline.work.WORK_RUNNERS`, such as "ray".
        runner_settings: what else that runner is told; of "ray" `address` ("local", or HOST:PORT), `cpus` a worker, and
            `insecure`.
        progress: whether a bar is shown on stderr, or below the notebook's cell.

    Returns:
        What it came to; clips that failed are in `failures`, with their reasons.

    Raises:
        TraplineError: a name, a setting or a folder that does not exist; weights that are not to be had.

    Warns:
        FeaturizeWarning: a network is untrained; clips failed or could not be reached, or folders not be listed.
    """
    request = _request(
        videos,
        backbones,
        views,
        choose_sampling(
            fps, frames, max_frames, choose, _root(store), [backbones] if isinstance(backbones, str) else backbones
        ),
        weights,
        taps,
        scratch_gb,
        sites=None if sites is None else Path(sites),
        preprocessing=preprocessing,
        input_px=input_px,
        resize=resize,
        offline=offline,
        limit=limit,
        retry_failed=retry_failed,
        relink=relink,
        replace=replace,
        runtime=runtime,
        device=device,
        precision=precision,
        store_precision=store_precision,
        workers=workers,
        clips_per_part=clips_per_part,
        work_runner=work_runner,
        runner_settings=runner_settings or {},
    )
    opened = store if isinstance(store, FeatureStore) else Path(store)
    summary = carry_out(request, opened, watch=_bar if progress else _nothing, on_warning=_warn)
    _warn_of_losses(summary)
    return summary


def plan(
    videos: Videos,
    store: str | Path | FeatureStore,
    *,
    backbones: str | Sequence[str],
    views: str | Sequence[str] = DEFAULT_VIEW,
    sites: str | Path | None = None,
    fps: float | None = None,
    frames: int | None = None,
    max_frames: int = MAX_FRAMES,
    choose: Literal["even", "motion"] = "even",
    weights: GivenWeights | None = None,
    taps: Sequence[str] | None = None,
    preprocessing: str | None = None,
    input_px: int | None = None,
    resize: str | None = None,
    offline: bool = False,
    limit: int | None = None,
    retry_failed: bool = False,
    precision: Precision = FULL,
    store_precision: Literal["float16", "int8"] = "float16",
    scratch_gb: float = DEFAULT_SCRATCH_GB,
) -> Plan:
    """What `run` with the same arguments would do, to be looked at, or to be carried out in shares by `extract`.

    Example:
        import featurize
        from store import FeatureStore

        store = FeatureStore.open("STORE", create=True)
        plan = featurize.plan("clips", store, backbones="efficientnet_lite0", fps=3)
        print(len(plan.tasks), "clips to do;", featurize.estimate_cost(plan))
        summary = featurize.extract(plan.share(0, 8), store)  # the first of eight machines

    Args:
        videos: as `run` takes it.
        store: the store, or its folder, which is made if it is missing.
        backbones: as `run` takes it, like all that follows.
        views: names of views.
        sites: a CSV of deployments.
        fps: frames a second.
        frames: frames a clip.
        max_frames: most frames under `fps`.
        choose: "even" or "motion".
        weights: weights files.
        taps: what to keep.
        preprocessing: what the pixels of ONNX files are.
        input_px: nominal side of the networks' input.
        resize: how frames are brought to that size.
        offline: never download weights.
        limit: do at most so many clips.
        retry_failed: do clips again that failed before or broke part way.
        precision: what networks compute in; for "int8" a network that the store does not hold yet is quantised now.
        store_precision: what features of networks are stored as.
        scratch_gb: most GB of fetched clips.

    Raises:
        TraplineError: a name, a setting or a folder that does not exist; weights that are not to be had.

    Warns:
        FeaturizeWarning: a network is untrained.
    """
    request = _request(
        videos,
        backbones,
        views,
        choose_sampling(
            fps, frames, max_frames, choose, _root(store), [backbones] if isinstance(backbones, str) else backbones
        ),
        weights,
        taps,
        scratch_gb,
        sites=None if sites is None else Path(sites),
        preprocessing=preprocessing,
        input_px=input_px,
        resize=resize,
        offline=offline,
        limit=limit,
        retry_failed=retry_failed,
        precision=precision,
        store_precision=store_precision,
    )
    opened = _opened(store)
    return plan_request(request, opened, _warn)


def _request(
    videos: Videos,
    backbones: str | Sequence[str],
    views: str | Sequence[str],
    sampling: Sampling,
    weights: GivenWeights | None,
    taps: Sequence[str] | None,
    scratch_gb: float,
    **settings: Any,
) -> Request:
    """The request of a function's arguments; `settings` are those that a `Request` takes as they are."""
    return Request(
        videos=_places(videos, scratch_gb),
        backbones=_words(backbones),
        views=_words(views),
        sampling=sampling,
        weights=_weight_words(weights),
        taps=None if taps is None else ",".join(taps),
        **settings,
    )


def _root(store: str | Path | FeatureStore) -> Path:
    return store.root if isinstance(store, FeatureStore) else Path(store)


def _opened(store: str | Path | FeatureStore) -> FeatureStore:
    return store if isinstance(store, FeatureStore) else FeatureStore.open(store, create=True)


def _places(videos: Videos, scratch_gb: float) -> list[Path | Remote]:
    return places([videos] if isinstance(videos, str | Path) else list(videos), scratch_gb=scratch_gb)


def _words(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _weight_words(weights: GivenWeights | None) -> list[str]:
    """`weights` as `--weights` takes them."""
    if weights is None:
        return []
    if isinstance(weights, Mapping):
        return [f"{name}={path}" for name, path in weights.items()]
    return [str(weights)]


@contextmanager
def _bar(plan: Plan) -> Iterator[Callable[[Progress], None]]:
    if not plan.tasks:
        yield lambda _: None
        return
    with progress_bar(stderr_console(), len(plan.tasks)) as on_clip:
        yield on_clip


@contextmanager
def _nothing(_: Plan) -> Iterator[Callable[[Progress], None]]:
    yield lambda _: None


def _warn(sentence: str) -> None:
    warnings.warn(sentence, FeaturizeWarning, stacklevel=2)


def _warn_of_losses(summary: Summary) -> None:
    """Say what a command would say by its exit code: not everything that was named is in the store."""
    lost = {
        "clips failed (`failures`)": summary.failures,
        "clips could not be reached (`unreached`)": summary.unreached,
        "folders could not be listed (`unlisted`)": summary.unlisted,
    }
    told = ", ".join(f"{len(rows)} {what}" for what, rows in lost.items() if rows)
    if told:
        _warn(f"{told}; the summary has the reasons")
