"""What `heads review` does, once its words are parsed."""

import getpass
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heads.data.decisions import DecisionLog, default_log
from heads.data.labels import LabelTable
from heads.data.matching import parse_id_map
from heads.data.predictions import Predictions
from heads.data.reading.sites import labels_and_sites, places_of
from heads.data.tables import tidy
from heads.errors import ReviewError
from heads.review.collection import Collection, without_blank
from heads.review.desk import Desk
from heads.review.spoke import Speaker
from heads.review.visits import find_visits
from heads.run import BLEND, RunDirectory
from store import FeatureStore
from store.console import stderr_console


def review(
    store_root: Path,
    run_folder: Path | None,
    *,
    clips: Path | None,
    decisions: Path | None,
    labels: Path | None,
    classes_list: Path | None,
    sites: Path | None,
    site_pattern: str | None,
    id_map: Sequence[str],
    user: str | None,
    host: str,
    port: int,
) -> None:
    """Serve the review page until it is stopped.

    Raises:
        ReviewError: the packages that serve it are not installed, or a folder or a port is not to be had.
    """
    try:
        from heads.review.app import Review
        from heads.review.films import Films, default_folder
        from heads.review.server import ReviewServer
    except ModuleNotFoundError as error:
        raise ReviewError(
            f"the review page needs the package {error.name}, which is not installed; run "
            "`pip install 'trapline[review]'`"
        ) from error
    if clips is not None and not clips.is_dir():
        raise ReviewError(f"{clips}: there is no such folder; name the folder that was featurized with --clips")
    store = FeatureStore.open(store_root)
    run = None if run_folder is None else RunDirectory(run_folder)
    console = stderr_console()
    collection, notes = gather(
        store,
        run,
        videos=clips,
        labels=labels,
        classes=() if classes_list is None else read_classes(classes_list),
        sites=sites,
        site_pattern=site_pattern,
        id_map=id_map,
    )
    log = DecisionLog(decisions or default_log(store_root))
    desk = Desk(collection, log)
    for sentence in (*notes, *desk.decisions.notes):
        console.print(sentence, highlight=False, soft_wrap=True)
    console.print(f"decisions are kept in {log.path}", highlight=False, soft_wrap=True)
    name = (run_folder or store_root).absolute().name
    page = Review(desk, Films(default_folder()), Speaker(run, store), user=user or _login(), title=name)
    ReviewServer(page, host=host, port=port, say=lambda sentence: print(sentence, flush=True)).run()


def gather(
    store: FeatureStore,
    run: RunDirectory | None,
    *,
    videos: Path | None,
    labels: Path | None,
    classes: Sequence[str],
    sites: Path | None,
    site_pattern: str | None,
    id_map: Sequence[str],
) -> tuple[Collection, tuple[str, ...]]:
    """What is reviewed, and what the user should know of it.

    Args:
        store: the clips.
        run: whose labels, classes and answers are shown; None before the first run.
        videos: the folder of the clips; None if they are where they were featurized.
        labels: a table of labels, instead of the run's.
        classes: further classes that can be chosen.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in a clip id, instead.
        id_map: how ids of the tables become clips'.
    """
    facts, rules = store.clips(), parse_id_map(id_map)
    known: LabelTable | None = None
    places: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    predictions: Predictions | None = None
    if labels is not None:
        found = labels_and_sites(labels, facts.index, sites=None, site_pattern=None, id_map=rules, allow_missing=True)
        known, places, notes = found.labels, dict(found.sites), found.notes
    elif run is not None:
        known = run.read_labels()
        places = {**run.read_unlabelled_sites(), **known.known_sites}
    if run is not None and run.oof_path(BLEND).is_file():
        predictions = run.read_oof(BLEND)
    if sites is not None or site_pattern is not None:
        told, more = places_of(facts.index, sites=sites, site_pattern=site_pattern, id_map=rules)
        places, notes = {**places, **told}, (*notes, *more)
    own = () if known is None else known.classes
    return (
        Collection(
            store=store,
            facts=facts,
            videos=videos,
            classes=without_blank(tuple(dict.fromkeys((*own, *classes)))),
            labels={} if known is None else shown_classes(known),
            sites=places,
            visits=find_visits({str(name): str(when) for name, when in facts["recorded_at"].items()}, places),
            predictions=predictions,
        ),
        notes,
    )


def shown_classes(labels: LabelTable) -> dict[str, tuple[str, ...]]:
    """The classes that each clip shows beside the one for clips that show nothing."""
    names = np.array(labels.classes, dtype=object)
    return {
        clip_id: without_blank(tuple(names[row == 1].tolist()))
        for clip_id, row in zip(labels.ids, labels.values, strict=True)
    }


def read_classes(path: Path) -> tuple[str, ...]:
    """The classes of a list, one a line.

    Raises:
        ReviewError: it cannot be read, or holds none.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ReviewError(f"{path}: not to be read as text ({error}); expected one class a line in UTF-8") from error
    names = tuple(dict.fromkeys(name for line in lines if (name := tidy(line))))
    if not names:
        raise ReviewError(f"{path}: there is no class in it; write one a line")
    return names


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"
