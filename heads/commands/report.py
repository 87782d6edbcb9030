"""What `heads report` does, once its words are parsed."""

from pathlib import Path

from heads.errors import RunError
from heads.report import write_report
from heads.run import RunDirectory
from store import FeatureStore
from store.console import native_chatter, stderr_console


def report(
    run_folder: Path, store_root: Path | None, videos: Path | None, *, verbose: bool, decisions: Path | None = None
) -> None:
    """Write the report of a run into it; with a store, also what decisions on clips drawn by chance say of all of it.

    Raises:
        RunError: `videos` or `decisions` without a store, or a folder that is not there.
    """
    if decisions is not None and store_root is None:
        raise RunError("--decisions says what clips of a store show; give --store too")
    if videos is not None and store_root is None:
        raise RunError("--videos says where clips are, but frames are chosen by what a store holds; give --store too")
    if videos is not None and not videos.is_dir():
        raise RunError(f"{videos}: there is no such folder; name the folder that was featurized")
    run = RunDirectory(run_folder)
    if store_root is not None:
        with native_chatter(shown=verbose):
            import heads.models.explain.attribution  # noqa: F401  the pictures ask the heads, and TensorFlow talks when it is imported
    store = None if store_root is None else FeatureStore.open(store_root)
    collection = None
    if store is not None:
        from heads.workflows.pool import score_whole

        collection = score_whole(run, store, decisions)
    for sentence in write_report(run, store, videos, collection):
        stderr_console().print(sentence, highlight=False, soft_wrap=True)
    print(run.report_path)
