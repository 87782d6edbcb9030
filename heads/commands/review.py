"""What `heads review` does, once its words are parsed."""

import getpass
from collections.abc import Sequence
from pathlib import Path

from heads.data.decisions import default_log
from heads.data.matching import parse_id_map
from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.errors import ReviewError
from heads.review.opening import Sources, open_collection, read_classes
from heads.run import RunDirectory
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
    timed_by: TimeSource = NO_TIMES,
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
    sources = Sources(
        store=FeatureStore.open(store_root),
        decisions=decisions or default_log(store_root),
        videos=clips,
        labels=labels,
        classes=() if classes_list is None else read_classes(classes_list),
        sites=sites,
        site_pattern=site_pattern,
        id_map=tuple(parse_id_map(id_map)),
        timed_by=timed_by,
    )
    opened = open_collection(sources, None if run_folder is None else RunDirectory(run_folder))
    say = stderr_console()
    for sentence in (*opened.notes, f"decisions are kept in {sources.decisions}"):
        say.print(sentence, highlight=False, soft_wrap=True)
    page = Review(sources, opened, Films(default_folder()), user=user or _login())
    server = ReviewServer(page, host=host, port=port, say=lambda sentence: print(sentence, flush=True))
    try:
        server.run()
    finally:
        page.close()


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"
