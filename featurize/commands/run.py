"""What the `featurize` command does, once its words are parsed."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from featurize.backbones.resolve import loads_a_model, resolve_backbones, tap_choices
from featurize.backbones.runner import RuntimeName
from featurize.backbones.weights import RANDOM_WEIGHTS, choose_weights
from featurize.commands.progress import (
    estimate_facts,
    preview_facts,
    print_estimate,
    print_previews,
    print_summary,
    reporter,
    summary_facts,
)
from featurize.pipeline import preview
from featurize.pipeline.discover import survey
from featurize.pipeline.estimate import estimate_cost, spread
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import Plan, make_plan
from featurize.pipeline.relink import relink
from featurize.pipeline.source import FeatureSource, make_source
from featurize.pipeline.work import IN_PROCESS, find_work_runner
from featurize.views.sampling import Sampling
from store import FeatureStore
from store.console import native_chatter, print_json, stderr_console, stdout_console
from store.errors import StoreNotFoundError

_TIMED_CLIPS = 6


@dataclass(frozen=True, kw_only=True)
class Request:
    """The command's words.

    Attributes:
        videos: folders of clips, or single files.
        root: the store's folder.
        backbones: names of networks.
        taps: the words of --taps, None for each one's own.
        weights: the words of --weights.
        offline: whether nothing may be downloaded.
        input_px: nominal side of the networks' input, None for each one's own.
        resize: name of the resize rule, None for each one's own.
        views: names of views.
        sampling: which frames.
        runtime: what runs the networks.
        workers: decoding threads, None for as many as processors.
        limit: most clips to do, None for all.
        retry_failed: whether clips that failed before or broke part way are done again.
        clips_per_part: clips after which a part is committed.
        relink: whether clips that only moved are recognised by their content first.
        verbose: whether the network libraries may print.
        work_runner: who carries the plan out, a name of `WORK_RUNNERS`.
    """

    videos: Sequence[Path]
    root: Path
    backbones: Sequence[str]
    taps: str | None
    weights: Sequence[str]
    offline: bool
    input_px: int | None
    resize: str | None
    views: Sequence[str]
    sampling: Sampling
    runtime: RuntimeName
    workers: int | None
    limit: int | None
    retry_failed: bool
    clips_per_part: int
    relink: bool
    verbose: bool
    work_runner: str = IN_PROCESS


def dry_run(request: Request, *, as_json: bool) -> None:
    """Say what `request` would do and what it would cost; a few clips are timed, nothing is kept."""
    try:
        store = FeatureStore.open(request.root)
    except StoreNotFoundError:
        store = None
    plan = _plan(request, store)
    outlook = estimate_facts(plan, estimate_cost(plan), _measure_seconds(plan, request))
    print_json(outlook) if as_json else print_estimate(stdout_console(), outlook)


def featurize_folder(request: Request, *, as_json: bool) -> int:
    """Carry out `request`, telling a person how it goes, and return how many clips or folders were not to be had."""
    console = stderr_console()
    store = FeatureStore.open(request.root, create=True)
    if request.relink:
        keys = [source.key(request.sampling) for source in _sources(request)]
        moved = relink(survey(request.videos).clips, keys, store)
        console.print(f"{moved} clips had moved and were recognised by their content")
    plan = _plan(request, store)
    if plan.tasks:
        _import_networks_for(plan, request.verbose)
        print_estimate(console, estimate_facts(plan, estimate_cost(plan), None))
    try:
        with reporter(console, len(plan.tasks)) as report:
            summary = find_work_runner(request.work_runner)(
                plan,
                store,
                runtime=request.runtime,
                workers=request.workers,
                clips_per_part=request.clips_per_part,
                on_clip=report,
            )
    except KeyboardInterrupt:
        console.print("stopped; what was finished is in the store, and the same command continues from there")
        raise
    outcome = summary_facts(summary, str(request.root))
    print_json(outcome) if as_json else print_summary(outcome)
    return sum(len(outcome[what]) for what in ("failures", "unreached", "unlisted"))


def write_previews(
    videos: Sequence[Path], sampling: Sampling, folder: Path, *, workers: int | None, limit: int | None, as_json: bool
) -> int:
    """Write a contact sheet per clip into `folder`, saying what each shows, and return how much was not to be had."""
    console = stderr_console()
    found = survey(videos)
    clips = found.clips[:limit]
    failures = preview.write_previews(
        clips, sampling, folder, workers=workers or os.cpu_count() or 1, on_clip=lambda line: console.print(line)
    )
    outcome = preview_facts(len(clips) - len(failures), folder, failures, found.unlisted)
    print_json(outcome) if as_json else print_previews(outcome)
    return len(failures) + len(found.unlisted)


def list_taps(words: Sequence[str], *, offline: bool, verbose: bool, as_json: bool) -> None:
    """Print what can be tapped in each of the backbones that `words` name, to stdout."""
    if any(loads_a_model(word) for word in words):
        _import_networks(verbose)
    found = {word: tap_choices(word, offline=offline) for word in words}
    if as_json:
        print_json({word: {name: list(shape) for name, shape in taps.items()} for word, taps in found.items()})
        return
    for taps in found.values():
        for name, shape in taps.items():
            print(f"{name}  {' x '.join('any' if side is None else str(side) for side in shape)}")


def _import_networks_for(plan: Plan, verbose: bool) -> None:
    """Import TensorFlow once it is known that a network has something to do; rules run without it."""
    if any(source.backbone.kind == "network" for task in plan.tasks for source in task.sources):
        _import_networks(verbose)


def _import_networks(verbose: bool) -> None:
    """Import TensorFlow, which takes seconds and talks."""
    with native_chatter(shown=verbose):
        import featurize.runtime.runners  # noqa: F401


def _sources(request: Request) -> list[FeatureSource]:
    if any(loads_a_model(word) for word in request.backbones):
        _import_networks(request.verbose)
    backbones = resolve_backbones(request.backbones, request.taps, input_px=request.input_px, offline=request.offline)
    weights = choose_weights(backbones, request.weights, offline=request.offline)
    untrained = [name for name, found in weights.items() if found == RANDOM_WEIGHTS]
    if untrained:
        stderr_console().print(
            f"warning: {', '.join(untrained)} untrained (--weights random): the features mean nothing", style="bold red"
        )
    sources = (
        make_source(backbone, weights[backbone.name], view, input_px=request.input_px, resize=request.resize)
        for backbone in backbones
        for view in request.views
    )
    return list(dict.fromkeys(sources))


def _plan(request: Request, store: FeatureStore | None) -> Plan:
    found = survey(request.videos)
    plan = make_plan(found.clips, _sources(request), request.sampling, store, retry_failed=request.retry_failed)
    return replace(plan, unlisted=found.unlisted).limited(request.limit)


def _measure_seconds(plan: Plan, request: Request) -> float:
    """How long `plan` is going to take, about: a few of its clips are run into a store that is thrown away."""
    sample = replace(plan, tasks=tuple(spread(plan.tasks, _TIMED_CLIPS)), touched=())
    if not sample.tasks:
        return 0.0
    _import_networks_for(sample, request.verbose)
    with tempfile.TemporaryDirectory(prefix="trapline-") as folder:
        store = FeatureStore.open(Path(folder), create=True)
        timed = extract(sample, store, runtime=request.runtime, workers=request.workers)
        return timed.seconds / len(sample.tasks) * len(plan.tasks)
