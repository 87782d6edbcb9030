"""From what a person asks for to features in a store: the one way of the command and of the Python API."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from featurize.backbones.resolve import loads_a_model, resolve_backbones
from featurize.backbones.runner import FULL, DeviceName, Precision, RuntimeName
from featurize.backbones.weights import RANDOM_WEIGHTS, choose_weights
from featurize.errors import SettingsError
from featurize.pipeline.classifiers import keep_classifiers
from featurize.pipeline.discover import Found, survey
from featurize.pipeline.for_run import choose_contrast, sources_of
from featurize.pipeline.networks import full_network, require_detector, require_settings
from featurize.pipeline.places.deployments import require_comparing, told_deployments
from featurize.pipeline.plan import Plan, make_plan
from featurize.pipeline.relink import relink, require_same_clips, require_unmoved
from featurize.pipeline.source import FeatureSource, make_source
from featurize.pipeline.summary import Progress, Summary
from featurize.pipeline.work import IN_PROCESS, find_work_runner
from featurize.remote.root import Remote
from featurize.views.registry import DEFAULT_VIEW
from featurize.views.sampling import Sampling
from store import FeatureStore
from store.console import native_chatter
from store.errors import StoreNotFoundError, StoreWriteError
from store.format.network_file import network_folder
from store.key import HALVES, FeatureKey, distinguish

Watch = Callable[[Plan], AbstractContextManager[Callable[[Progress], None]]]
"""Entered when the plan is made and left when it is carried out; gives the callback that is called after every clip."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for.

    Attributes:
        videos: folders of clips, or single files, here or elsewhere.
        backbones: names of networks, as `--backbone` takes them.
        sampling: which frames.
        views: names of views.
        sites: a table that says of which deployment clips are, for views that compare clips; None to find out alone.
        taps: names of taps separated by commas, None for each network's own.
        preprocessing: what the pixels of ONNX files are meant to be, None for what their YAML says.
        keys: features to make, instead of those of backbones and views: what a run reads, all of `sampling`.
        weights: words of `--weights`.
        offline: whether nothing may be downloaded.
        input_px: nominal side of the networks' input, None for each one's own.
        resize: name of the resize rule, None for each one's own.
        limit: most clips to do, None for all.
        shard: (index from 0, count) of the share of the clips to do, None for all.
        retry_failed: whether clips that failed before or broke part way are done again.
        relink: whether clips that only moved are recognised by their content first; None stops where they did.
        replace: whether clips of another place and content may take the place of stored ones of the same names.
        runtime: what runs the networks.
        device: where they run.
        workers: decoding threads, None for as many as processors.
        clips_per_part: clips after which a part is committed.
        precision: what networks compute in.
        store_precision: what their features are stored as: float16, or int8, rounded to a byte each.
        brought_by: a run's folder, or a packed model, that may bring quantised networks along.
        work_runner: who carries the plan out, a name of `WORK_RUNNERS`.
        runner_settings: what else that runner is told, by name; it is told too where warnings go, as `on_warning`.
        verbose: whether the network libraries may print.
    """

    videos: Sequence[Path | Remote]
    backbones: Sequence[str]
    sampling: Sampling
    views: Sequence[str] = (DEFAULT_VIEW,)
    sites: Path | None = None
    taps: str | None = None
    preprocessing: str | None = None
    keys: Sequence[FeatureKey] = ()
    weights: Sequence[str] = ()
    offline: bool = False
    input_px: int | None = None
    resize: str | None = None
    limit: int | None = None
    shard: tuple[int, int] | None = None
    retry_failed: bool = False
    relink: bool | None = None
    replace: bool = False
    runtime: RuntimeName = "auto"
    device: DeviceName = "auto"
    workers: int | None = None
    clips_per_part: int = 256
    precision: Precision = FULL
    store_precision: str = HALVES
    brought_by: Path | None = None
    work_runner: str = IN_PROCESS
    runner_settings: Mapping[str, Any] = field(default_factory=dict)
    verbose: bool = False


def plan_request(
    request: Request,
    store: FeatureStore | None,
    on_warning: Callable[[str], None],
    *,
    on_calibrate: Callable[[FeatureSource], None] = lambda _: None,
    scratch: Path | None = None,
) -> Plan:
    """What `request` has to do in `store` (None: a store that is yet to be made).

    Args:
        request: what is asked for.
        store: where features and clip facts are to go.
        on_warning: called with a sentence on what makes features worthless, or on two kinds of them.
        on_calibrate: called with a source before its network is quantised.
        scratch: a folder for a network that must be quantised, where the store is to be left as it is.

    Raises:
        TraplineError: a name, a setting or a folder that does not exist; weights that are not to be had.
    """
    sources = _find_sources(request, store, on_warning)
    found = _find_clips(request, store)
    deployments = told_deployments(request.sites, found.clips, store, on_warning)
    sources = _quantised(request, found, sources, _network_folders(store, scratch), on_calibrate)
    if store is not None:
        _compare_with(store, request, found, sources, on_warning)
    return _make_plan(request, found, sources, store, deployments)


def carry_out(
    request: Request,
    store: FeatureStore | Path,
    *,
    watch: Watch,
    on_warning: Callable[[str], None],
    on_moved: Callable[[int], None] = lambda _: None,
    on_calibrate: Callable[[FeatureSource], None] = lambda _: None,
) -> Summary:
    """Do what `request` asks for, and nothing that `store` holds already.

    Args:
        request: what is asked for.
        store: where features and clip facts go; a folder in which there is none yet becomes one, once clips are found.
        watch: entered with the plan, for as long as it is carried out.
        on_warning: called with a sentence on what makes features worthless, or on two kinds of them.
        on_moved: called, under `relink`, with the number of clips that were recognised.
        on_calibrate: called with a source before its network is quantised.

    Raises:
        TraplineError: a name, a setting or a folder that does not exist; weights that are not to be had; clips that
            moved, where nothing says what to do about them.
    """
    run = find_work_runner(request.work_runner)
    elsewhere = [str(root) for root in request.videos if isinstance(root, Remote)]
    if elsewhere and request.work_runner != IN_PROCESS:
        raise SettingsError(
            f"{elsewhere[0]}: clips behind a URL are fetched by the process that decodes them, and not by workers of "
            f"{request.work_runner}; leave that out, and share clips out by --shard I/N if one machine is not enough"
        )
    known = existing_store(store)
    sources = _find_sources(request, known, on_warning)
    found = _find_clips(request, known)
    deployments = told_deployments(request.sites, found.clips, known, on_warning)
    opened = store if isinstance(store, FeatureStore) else FeatureStore.open(store, create=True)
    if request.relink:
        on_moved(relink(found.clips, opened.keys(), opened))
    sources = _quantised(request, found, sources, _network_folders(opened), on_calibrate)
    _compare_with(opened, request, found, sources, on_warning)
    plan = _make_plan(request, found, sources, opened, deployments)
    try:
        keep_classifiers(plan.keys, opened)
    except StoreWriteError as error:  # a finished store need not be writable
        on_warning(f"what networks themselves take frames for is not kept: {error}")
    import_networks_for(plan, verbose=request.verbose)
    # Runners of work that were written before there was a choice know no device.
    where: dict[str, Any] = {} if request.device == "auto" else {"device": request.device}
    if request.runner_settings:
        where |= {**request.runner_settings, "on_warning": on_warning}
    with watch(plan) as on_clip:
        return run(
            plan,
            opened,
            runtime=request.runtime,
            **where,
            workers=request.workers,
            clips_per_part=request.clips_per_part,
            on_clip=on_clip,
        )


def existing_store(store: FeatureStore | Path) -> FeatureStore | None:
    """The store, if it is one or a folder that holds one; None otherwise."""
    if isinstance(store, FeatureStore):
        return store
    try:
        return FeatureStore.open(store)
    except StoreNotFoundError:
        return None


def import_networks_for(plan: Plan, *, verbose: bool) -> None:
    """Let TensorFlow talk while it is imported, where that is wanted and a network has something to do.

    Otherwise it is imported once a network must be built: rules run without it, and so do networks that are compiled.
    """
    if verbose and any(source.backbone.kind == "network" for task in plan.tasks for source in task.sources):
        import_networks(verbose=True)


def import_networks(*, verbose: bool) -> None:
    """Import TensorFlow, which takes seconds and talks."""
    with native_chatter(shown=verbose):
        import featurize.runtime.extractor  # noqa: F401


def _quantised(
    request: Request,
    found: Found,
    sources: Sequence[FeatureSource],
    folders: Sequence[Path],
    on_calibrate: Callable[[FeatureSource], None],
) -> list[FeatureSource]:
    """The sources, those in int8 with the network that stands for theirs in one of `folders`.

    Raises:
        SettingsError: the processor, the runtime or the device that was asked for does not have a precision; there is
            no such device, or no folder.
    """
    if request.device == "auto" and all(source.precision == FULL for source in sources):
        return list(sources)
    for source in sources:
        require_settings(source, request.runtime, request.device)
    if not any(source.precision == "int8" for source in sources):
        return list(sources)
    from featurize.pipeline.calibration import quantised_sources

    if not folders:
        raise SettingsError("there is no store yet to keep a quantised network in; make it before the plan")
    return quantised_sources(
        sources,
        found.clips,
        folders,
        full_network,
        brought_by=request.brought_by,
        workers=request.workers or os.cpu_count() or 1,
        on_calibrate=on_calibrate,
    )


def _network_folders(store: FeatureStore | None, scratch: Path | None = None) -> list[Path]:
    """Where quantised networks are looked for; in the last one they are made."""
    return [*([network_folder(store.root)] if store else []), *([scratch] if scratch else [])]


def _find_clips(request: Request, store: FeatureStore | None) -> Found:
    return survey(request.videos, (lambda: store.clips().index) if store else tuple)


def _find_sources(
    request: Request, store: FeatureStore | None, on_warning: Callable[[str], None]
) -> list[FeatureSource]:
    if request.keys:
        if any(loads_a_model(key.backbone) for key in request.keys):
            import_networks(verbose=request.verbose)
        sources = sources_of(request.keys, request.backbones, request.weights, offline=request.offline)
        require_detector(source.view for source in sources)
        return sources
    require_detector(request.views)
    require_comparing(request.sites, request.views)
    if not request.backbones or not request.views:
        raise SettingsError("there is nothing to compute: name at least one backbone and one view")
    if any(loads_a_model(word) for word in request.backbones):
        import_networks(verbose=request.verbose)
    backbones = resolve_backbones(
        request.backbones,
        request.taps,
        input_px=request.input_px,
        offline=request.offline,
        preprocessing=request.preprocessing,
    )
    weights = choose_weights(backbones, request.weights, offline=request.offline)
    untrained = [name for name, found in weights.items() if found == RANDOM_WEIGHTS]
    if untrained:
        on_warning(f"{', '.join(untrained)} untrained (--weights random): the features mean nothing")
    held = store.keys() if store is not None else ()
    found = (
        make_source(
            backbone,
            weights[backbone.name],
            view,
            contrast=choose_contrast(view, backbone.name, held),
            input_px=request.input_px,
            resize=request.resize,
            precision=request.precision,
            stored=request.store_precision,
        )
        for backbone in backbones
        for view in request.views
    )
    return list(dict.fromkeys(found))


def _compare_with(
    store: FeatureStore,
    request: Request,
    found: Found,
    sources: Sequence[FeatureSource],
    on_warning: Callable[[str], None],
) -> None:
    """Stop where clips that the store holds have moved, and nothing says what to do about them; and say which sources
    it holds under other settings only, as one name then means two things in it.

    Raises:
        SourceError: clips have moved.
    """
    if request.relink is None:
        require_unmoved(found.clips, store)
    held = store.keys()
    for source in sources:
        key = source.key(request.sampling)
        others = [each for each in held if each.source == key.source]
        if others and key not in others:
            words = distinguish([*others, key])
            on_warning(
                f"the store holds {key.source} already under other settings, and will hold both "
                f"({' and '.join(words.values())}): say to `heads train` which of them it is to read by --features, "
                f"for example --features {words[key.folder].split()[0]}"
            )


def _make_plan(
    request: Request,
    found: Found,
    sources: Sequence[FeatureSource],
    store: FeatureStore | None,
    deployments: Mapping[str, str],
) -> Plan:
    plan = make_plan(found.clips, sources, request.sampling, store, retry_failed=request.retry_failed)
    if store is not None and not request.replace:
        require_same_clips(plan, store)
    plan = replace(plan, unlisted=found.unlisted, passed_over=found.passed_over, deployments=deployments)
    if request.shard is not None:
        plan = plan.share(*request.shard)
    plan = plan.limited(request.limit)
    _require_room(plan)
    return plan


def _require_room(plan: Plan) -> None:
    """Raise SettingsError if a clip that is to be fetched is larger than the room for such clips."""
    for task in plan.tasks:
        remote = task.clip.remote
        if remote is not None and remote.size_bytes > remote.root.scratch.most_bytes:
            raise SettingsError(
                f"{task.clip.clip_id}: its {remote.size_bytes / 1e9:.2f} GB are more than the room for fetched clips, "
                f"{remote.root.scratch.most_gb:g} GB; give more by --scratch-gb"
            )
