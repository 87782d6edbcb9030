"""What the `featurize` command does, once its words are parsed."""

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from featurize.backbones.resolve import loads_a_model, tap_choices
from featurize.commands.progress import (
    estimate_facts,
    preview_facts,
    print_estimate,
    print_previews,
    print_summary,
    summary_facts,
)
from featurize.pipeline.discover import survey
from featurize.pipeline.estimate import estimate_cost, spread
from featurize.pipeline.extract import extract
from featurize.pipeline.for_run import choose_contrast, keys_of_run, sampling_of
from featurize.pipeline.glance import preview
from featurize.pipeline.networks import detector_of
from featurize.pipeline.places.backgrounds import NO_BACKGROUNDS, glimpse_backgrounds
from featurize.pipeline.places.deployments import require_comparing, told_deployments
from featurize.pipeline.plan import Plan
from featurize.pipeline.progress_bar import progress_bar
from featurize.pipeline.request import (
    Request,
    carry_out,
    existing_store,
    import_networks,
    import_networks_for,
    plan_request,
)
from featurize.pipeline.source import FeatureSource
from featurize.pipeline.summary import Progress
from featurize.remote.root import Remote
from featurize.views.registry import find_view
from featurize.views.sampling import Sampling
from store import FeatureStore
from store.console import print_json, stderr_console, stdout_console
from store.ids import counted
from store.key import FeatureKey

_TIMED_CLIPS = 9
_MOST_TIMED_S = 4.0  # behind the first clip, at which networks are made ready


def dry_run(request: Request, root: Path, *, as_json: bool) -> None:
    """Say what `request` would do in the store at `root` and what it would cost; a few clips are timed."""
    with tempfile.TemporaryDirectory(prefix="trapline-") as scratch:
        plan = plan_request(
            request, existing_store(root), print_warning, on_calibrate=_print_calibration, scratch=Path(scratch)
        )
        outlook = estimate_facts(plan, estimate_cost(plan), _measure_seconds(plan, request))
    print_json(outlook) if as_json else print_estimate(stdout_console(), outlook)


def featurize_folder(request: Request, root: Path, *, as_json: bool) -> int:
    """Carry out `request` into the store at `root`, saying how it goes, and return how much was not to be had."""
    console = stderr_console()
    try:
        summary = carry_out(
            request,
            root,
            watch=print_progress,
            on_warning=print_warning,
            on_moved=_print_moved,
            on_calibrate=_print_calibration,
        )
    except KeyboardInterrupt:
        console.print("stopped; what was finished is in the store, and the same command continues from there")
        raise
    outcome = summary_facts(summary, str(root))
    print_json(outcome) if as_json else print_summary(outcome)
    return sum(len(outcome[what]) for what in ("failures", "unreached", "unlisted"))


def requests_for(run: Path, request: Request) -> list[Request]:
    """The requests that make what a run reads, one for each sampling; all else is as in `request`.

    Raises:
        SourceError: there is no such run.
        SettingsError: it was sampled by another version of Trapline.
    """
    by_sampling: dict[Sampling, list[FeatureKey]] = {}
    for key in keys_of_run(run):
        by_sampling.setdefault(sampling_of(key), []).append(key)
    return [
        replace(request, sampling=sampling, keys=tuple(keys), brought_by=run) for sampling, keys in by_sampling.items()
    ]


@contextmanager
def print_progress(plan: Plan) -> Iterator[Callable[[Progress], None]]:
    """Say what is about to be done, and show how far it has come."""
    console = stderr_console()
    if plan.tasks:
        print_estimate(console, estimate_facts(plan, estimate_cost(plan), None))
    with progress_bar(console, len(plan.tasks)) as on_clip:
        yield on_clip


def print_warning(sentence: str) -> None:
    """Print a sentence that must not be overlooked."""
    stderr_console().print(f"warning: {sentence}", style="bold red")


def _print_calibration(source: FeatureSource) -> None:
    stderr_console().print(f"{source.backbone.name}: is quantised once, by pictures of these clips", highlight=False)


def _print_moved(clips: int) -> None:
    stderr_console().print(f"moved since, and recognised by content: {counted(clips, 'clip')}")


def write_previews(
    videos: Sequence[Path | Remote],
    sampling: Sampling,
    folder: Path,
    *,
    views: Sequence[str] = (),
    store: Path | None = None,
    workers: int | None,
    limit: int | None,
    as_json: bool,
    sites: Path | None = None,
) -> int:
    """Write a contact sheet per clip into `folder`, saying what each shows, and return how much was not to be had.

    The boxes are those of the last of `views` that shows parts of frames, of the motion view if there is none; what
    clips are seen against, and in which contrast, is the store's word where it has one; `sites` may say of which
    deployment they are.
    """
    console = stderr_console()
    found = survey(videos)
    clips = found.clips[:limit]
    threads = workers or os.cpu_count() or 1
    view = next((name for name in reversed(views) if find_view(name).crops), "motion")
    known = existing_store(store) if store else None
    backgrounds = NO_BACKGROUNDS
    require_comparing(sites, [view])
    if find_view(view).needs_background:
        deployments = told_deployments(sites, found.clips, known, print_warning)
        backgrounds = glimpse_backgrounds(found.clips, known, workers=threads, deployments=deployments)
    failures = preview.write_previews(
        clips,
        sampling,
        folder,
        view=view,
        contrast=choose_contrast(view, "", known.keys() if known else ()),
        backgrounds=backgrounds,
        detect=detector_of([view], "auto"),
        workers=threads,
        on_clip=lambda line: console.print(line),
    )
    outcome = preview_facts(len(clips) - len(failures), folder, failures, found.unlisted)
    print_json(outcome) if as_json else print_previews(outcome)
    return len(failures) + len(found.unlisted)


def list_taps(words: Sequence[str], *, offline: bool, verbose: bool, as_json: bool) -> None:
    """Print what can be tapped in each of the backbones that `words` name, to stdout."""
    if any(loads_a_model(word) for word in words):
        import_networks(verbose=verbose)
    found = {word: tap_choices(word, offline=offline) for word in words}
    if as_json:
        print_json({word: {name: list(shape) for name, shape in taps.items()} for word, taps in found.items()})
        return
    for taps in found.values():
        for name, shape in taps.items():
            print(f"{name}  {' x '.join('any' if side is None else str(side) for side in shape)}")


def _measure_seconds(plan: Plan, request: Request) -> float:
    """How long `plan` is going to take, about: a few of its clips are run into a store that is thrown away.

    What comes before the first is counted once, since networks are made ready in it.
    """
    timed_tasks = tuple(spread(plan.tasks, _TIMED_CLIPS))
    sample = replace(plan, tasks=timed_tasks, touched=(), named=tuple(task.clip for task in timed_tasks))
    if not sample.tasks:
        return 0.0
    import_networks_for(sample, verbose=request.verbose)
    begun, passed = time.monotonic(), list[float]()

    def look_at_the_clock(_progress: Progress) -> None:
        passed.append(time.monotonic() - begun)
        if len(passed) > 1 and passed[-1] - passed[0] > _MOST_TIMED_S:
            raise _EnoughError

    with tempfile.TemporaryDirectory(prefix="trapline-") as folder, contextlib.suppress(_EnoughError):
        store = FeatureStore.open(Path(folder), create=True)
        extract(
            sample,
            store,
            runtime=request.runtime,
            device=request.device,
            workers=request.workers,
            on_clip=look_at_the_clock,
        )
    each_s = (passed[-1] - passed[0]) / max(1, len(passed) - 1)
    return passed[0] + each_s * (len(plan.tasks) - 1)


class _EnoughError(Exception):
    """So many clips were timed that others would tell nothing new."""
