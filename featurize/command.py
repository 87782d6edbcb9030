"""What the `featurize` command does, once its words are parsed."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from featurize.discover import discover
from featurize.extract import Progress, extract
from featurize.plan import Plan, forecast, make_plan, spread
from featurize.progress import forecast_facts, print_forecast, print_summary, reporter, summary_facts
from featurize.registry import find_backbone
from featurize.relink import relink
from featurize.runtime import RuntimeName
from featurize.sampling import Sampling
from featurize.source import FeatureSource, pretrained_source
from store import FeatureStore
from store.console import native_chatter, print_json, stderr_console
from store.errors import StoreNotFoundError

_TIMED_CLIPS = 6


@dataclass(frozen=True, kw_only=True)
class Request:
    """The command's words.

    Attributes:
        videos: folders of clips, or single files.
        root: the store's folder.
        backbones: names of networks.
        views: names of views.
        sampling: which frames.
        runtime: what runs the networks.
        workers: decoding threads, None for as many as processors.
        limit: most clips to do, None for all.
        retry_failed: whether clips that failed before are done again.
        clips_per_part: clips after which a part is committed.
        relink: whether clips that only moved are recognised by their content first.
        verbose: whether the network libraries may print.
    """

    videos: Sequence[Path]
    root: Path
    backbones: Sequence[str]
    views: Sequence[str]
    sampling: Sampling
    runtime: RuntimeName
    workers: int | None
    limit: int | None
    retry_failed: bool
    clips_per_part: int
    relink: bool
    verbose: bool


def dry_run(request: Request, *, as_json: bool) -> None:
    """Say what `request` would do and what it would cost; a few clips are timed, nothing is kept."""
    try:
        store = FeatureStore.open(request.root)
    except StoreNotFoundError:
        store = None
    plan = _plan(request, store)
    outlook = forecast_facts(plan, forecast(plan, request.sampling), _measure_seconds(plan, request))
    print_json(outlook) if as_json else print_forecast(Console(highlight=False), outlook)


def featurize_folder(request: Request, *, as_json: bool) -> int:
    """Carry out `request`, telling a person how it goes, and return how many clips failed."""
    console = stderr_console()
    store = FeatureStore.open(request.root, create=True)
    if request.relink:
        keys = [source.key(request.sampling) for source in _sources(request)]
        moved = relink(discover(request.videos), keys, store)
        console.print(f"{moved} clips had moved and were recognised by their content")
    plan = _plan(request, store)
    if plan.tasks:
        _import_networks(request)
        print_forecast(console, forecast_facts(plan, forecast(plan, request.sampling), None))
    try:
        with reporter(console, len(plan.tasks)) as report:
            progress = extract(
                plan,
                request.sampling,
                store,
                runtime=request.runtime,
                workers=request.workers,
                clips_per_part=request.clips_per_part,
                report=report,
            )
    except KeyboardInterrupt:
        console.print("stopped; what was finished is in the store, and the same command continues from there")
        raise
    outcome = summary_facts(plan, progress, str(request.root))
    print_json(outcome) if as_json else print_summary(outcome)
    return len(progress.failures)


def _import_networks(request: Request) -> None:
    """Import TensorFlow, which takes seconds and talks, once it is known that there is something to do."""
    with native_chatter(shown=request.verbose):
        import featurize.compile  # noqa: F401


def _sources(request: Request) -> list[FeatureSource]:
    return [
        pretrained_source(find_backbone(name), view)
        for name in dict.fromkeys(request.backbones)
        for view in dict.fromkeys(request.views)
    ]


def _plan(request: Request, store: FeatureStore | None) -> Plan:
    clips = discover(request.videos)
    plan = make_plan(clips, _sources(request), request.sampling, store, retry_failed=request.retry_failed)
    return plan.limited(request.limit)


def _measure_seconds(plan: Plan, request: Request) -> float:
    """How long `plan` is going to take, about: a few of its clips are run into a store that is thrown away."""
    sample = replace(plan, tasks=tuple(spread(plan.tasks, _TIMED_CLIPS)))
    if not sample.tasks:
        return 0.0
    _import_networks(request)
    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        store = FeatureStore.open(Path(folder), create=True)
        progress: Progress = extract(sample, request.sampling, store, runtime=request.runtime, workers=request.workers)
        return progress.seconds / len(sample.tasks) * len(plan.tasks)
