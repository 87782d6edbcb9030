"""`store`: look at a feature store, check it, mend it, tidy it, hand it on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from store.console import print_json, run, stderr_console

if TYPE_CHECKING:
    from store.featurestore import FeatureStore

app = typer.Typer(
    help="Look at a feature store, check it, mend it, tidy it, hand it on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Store = Annotated[Path, typer.Option("--store", help="Folder of the store.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Source = Annotated[str | None, typer.Argument(help="Backbone, backbone+view, or the beginning of a key's folder name.")]

_KEPT_BY_RECIPE = "Keep what this recipe trains on, or what the run of this config.yaml reads."


@app.command()
def info(store: Store, as_json: Json = False) -> None:
    """Show what the store holds: keys, clips, frames, bytes, statuses."""
    from store.maintenance.listing import describe_store, store_facts

    facts = store_facts(_open(store))
    print_json(facts) if as_json else print(describe_store(facts))


@app.command()
def ls(store: Store, source: Source = None, as_json: Json = False) -> None:
    """List the keys, or the clips of one key with status, frames and reason."""
    from store.maintenance.listing import clip_lines, clip_rows, key_lines, key_rows

    opened = _open(store)
    rows = key_rows(opened) if source is None else clip_rows(opened, source)
    lines = key_lines(rows) if source is None else clip_lines(rows)
    print_json(rows) if as_json else print("\n".join(lines))


@app.command()
def verify(store: Store, as_json: Json = False) -> None:
    """Check every byte and every row; exit code 1 if anything is wrong."""
    from store.maintenance.verify import verify_store

    with _progress() as show:
        found = verify_store(_open(store).root, show)
    problems = [{"path": str(problem.path), "problem": problem.problem} for problem in found.problems]
    if as_json:
        print_json({"parts": found.parts, "bytes": found.bytes, "problems": problems})
    else:
        lines = [problem["problem"] for problem in problems]
        print("\n".join([*lines, f"{found.parts} parts, {len(problems)} problems"]))
    raise typer.Exit(1 if problems else 0)


@app.command()
def repair(store: Store, as_json: Json = False) -> None:
    """Set damaged files aside (nothing is deleted), so that the next run redoes just what they held."""
    from store.maintenance.listing import describe_repair, repair_facts
    from store.maintenance.repair import repair_store

    with _progress() as show:
        facts = repair_facts(repair_store(_open(store), show))
    print_json(facts) if as_json else print(describe_repair(facts))
    raise typer.Exit(1 if facts["unresolved"] else 0)


@app.command()
def compact(
    store: Store,
    source: Source = None,
    clips_per_part: Annotated[int, typer.Option(min=1, help="Rows that a merged part should have.")] = 256,
    as_json: Json = False,
) -> None:
    """Merge small parts and drop rows that no longer count; others may read and write meanwhile."""
    from store.maintenance.compact import compact_clips, compact_features
    from store.maintenance.listing import compaction_facts, compaction_lines

    opened = _open(store)
    keys = opened.keys() if source is None else [opened.find(source)]
    done = {key.folder: compact_features(opened, key, clips_per_part) for key in keys}
    if source is None:
        done["clips"] = compact_clips(opened, clips_per_part)
    facts = compaction_facts(done)
    print_json(facts) if as_json else print("\n".join(compaction_lines(facts)))


@app.command()
def merge(
    sources: Annotated[list[Path], typer.Argument(metavar="STORES...", help="Stores to merge; they stay as they are.")],
    into: Annotated[Path, typer.Option("--into", help="Store to merge into; made if it is missing.")],
    copy: Annotated[bool, typer.Option("--copy", help="Copy files, also where hard links would do.")] = False,
    as_json: Json = False,
) -> None:
    """Put the parts of several stores into one, as if one machine had made them; the same command again goes on."""
    from dataclasses import asdict

    from store.featurestore import FeatureStore
    from store.maintenance.listing import describe_merge
    from store.maintenance.merge import merge_stores

    opened = [_open(source) for source in sources]
    facts = asdict(merge_stores(opened, FeatureStore.open(into, create=True), copy=copy))
    print_json(facts) if as_json else print(describe_merge(facts))


@app.command()
def export(
    store: Store,
    out: Annotated[Path, typer.Option("--out", help="Folder for the files, one HDF5 file a key.")],
    source: Source = None,
    as_json: Json = False,
) -> None:
    """Write one plain, padded HDF5 file a key: features, n_frames, clip_id, status."""
    from store.format.layout import make_folder
    from store.maintenance.export import export_features

    opened = _open(store)
    make_folder(out)
    paths = []
    for key in opened.keys() if source is None else [opened.find(source)]:
        paths.append(str(out / f"{key.folder}.h5"))
        export_features(opened.reader(key), Path(paths[-1]))
    print_json(paths) if as_json else print("\n".join(paths))


@app.command()
def gc(
    store: Store,
    recipe: Annotated[list[Path] | None, typer.Option("--recipe", help=_KEPT_BY_RECIPE)] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Keep this source or key folder; `each` keeps all.")
    ] = None,
    unused_days: Annotated[int, typer.Option(min=0, help="After how many days without use cached statistics go.")] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    as_json: Json = False,
) -> None:
    """List the keys that no recipe wants, and cached statistics that are of no use, and, after asking, remove them."""
    from store.maintenance.listing import describe_sweep, sweep_facts, sweep_question
    from store.maintenance.sweep import carry_out, plan_sweep, wanted_sources

    if not recipe and not keep:
        raise typer.BadParameter("nothing says what to keep; give --recipe FILE or --keep SOURCE")
    opened = _open(store)
    plan = plan_sweep(opened, wanted_sources(recipe or []) | set(keep or []), unused_days)
    facts = sweep_facts(opened, plan)
    stderr_console().print(describe_sweep(facts), soft_wrap=True)
    if plan.is_worth_it and (yes or typer.confirm(sweep_question(facts), err=True)):
        facts["cache"]["removed_bytes"] = carry_out(opened, plan)
        facts["removed"] = facts["unwanted"]
    print_json(facts) if as_json else print("\n".join(facts["removed"]))


@app.command()
def refresh(
    store: Store,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Forget what clips are seen against, with the features that go by it; `featurize` finds both out anew.

    Worth it once many more clips of the same cameras have come: what was found out never changes by itself.
    """
    from store.maintenance.listing import describe_refresh
    from store.maintenance.sweep import compared_keys, forget_backgrounds

    opened = _open(store)
    found = compared_keys(opened)
    names = [key.folder for key in found]
    stderr_console().print(describe_refresh(opened, found), soft_wrap=True)
    removed: list[str] = []
    if yes or typer.confirm("Remove them for good?", err=True):
        removed = [key.folder for key in forget_backgrounds(opened)]
    print_json({"found": names, "removed": removed}) if as_json else print("\n".join(removed))


@app.command()
def standing(
    store: Store,
    source: Annotated[
        str | None, typer.Argument(help="Source or key folder; the first of `--view animal` if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List places at which boxes stand through many clips of a camera: branches, water, or where animals feed."""
    from dataclasses import asdict

    from store.maintenance.listing import standing_lines
    from store.maintenance.standing import find_boxed_key, find_standing_boxes

    opened = _open(store)
    found = find_standing_boxes(opened, find_boxed_key(opened, source))
    print_json([asdict(each) for each in found]) if as_json else print("\n".join(standing_lines(found)))


def main() -> None:
    """Entry point of the `store` command."""
    run(app)


def _open(root: Path) -> "FeatureStore":
    from store.featurestore import FeatureStore

    return FeatureStore.open(root)


@contextmanager
def _progress() -> Iterator[Callable[[Path], None]]:
    """A line on stderr that names the file being looked at."""
    with stderr_console().status("verifying") as status:
        yield lambda path: status.update(f"verifying {path.name}")


if __name__ == "__main__":
    main()
