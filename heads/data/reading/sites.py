"""Sites: which clips were taken at one place, from a table, a column or a pattern in the clip's path."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from heads.data.class_names import spelling_notes
from heads.data.labels import Labelled, LabelTable, renamed_sites
from heads.data.matching import IdRule, match_clips, require_fitting, unknown_clips
from heads.data.reading.label_formats import read_labels
from heads.data.reading.mapping import ClassMapping
from heads.data.tables import read_table
from heads.errors import LabelError, TrainError
from store.ids import counted, name_a_few


def labels_and_sites(
    path: Path,
    known: Iterable[str],
    *,
    sites: Path | None,
    site_pattern: str | None,
    id_map: Sequence[IdRule] = (),
    allow_missing: bool | None = None,
    mapping: ClassMapping | None = None,
) -> Labelled:
    """The label table with its sites, and the site of each clip, labelled or not, as far as the same source tells.

    Ids of both tables that are not spelt as those of known clips are matched with them, labels first, so that a table
    of sites is not blamed for labels that mean no clip.

    Args:
        path: the label table.
        known: ids of all clips, in which `site_pattern` is looked for too.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in a clip id, instead.
        id_map: how ids of the tables become clips', where that is not to be found out.
        allow_missing: whether labelled clips that are not known are left out, with a note; None to keep them.
        mapping: the class of each name of the label table; None to take them as they are.

    Raises:
        LabelError: a table or the pattern is not what it should be.
        UnknownClipError: a labelled clip is not known, or has no site.
    """
    clips, read = list(known), read_labels(path, mapping)
    if id_map:
        asked = {**dict.fromkeys((*read.labels.ids, *read.sites)), **(load_sites(sites) if sites is not None else {})}
        require_fitting(id_map, asked, path.name if sites is None else f"{path.name} and {sites.name}")
    found = _of_clips(read, clips, id_map, allow_missing=allow_missing)
    labels = found.labels
    if sites is not None:
        site_of, notes = _sites_of_clips(sites, {**dict.fromkeys(clips), **dict.fromkeys(labels.ids)}, id_map)
        _require_sites(labels, site_of, sites)
        found = replace(
            found, labels=labels.with_sites(site_of, sites.name), sites=site_of, notes=(*found.notes, *notes)
        )
    elif site_pattern is not None:
        own = sites_from_pattern(labels.ids, site_pattern)
        found = replace(
            found, labels=labels.with_sites(own, "--site-pattern"), sites=sites_where_matched(clips, site_pattern)
        )
    notes = spelling_notes(labels.origin if sites is None else sites.name, "sites", found.labels.sites or ())
    return replace(found, notes=(*found.notes, *notes))


def _of_clips(
    found: Labelled, clips: Sequence[str], id_map: Sequence[IdRule], *, allow_missing: bool | None
) -> Labelled:
    """The labels under the ids of clips; those that mean none are refused, left out or kept."""
    labels = found.labels
    matches = match_clips(dict.fromkeys((*labels.ids, *found.sites)), clips, labels.origin, id_map)
    found = replace(found.for_clips(matches.clip_of), notes=(*found.notes, *matches.notes))
    have = set(clips)
    unknown = [clip_id for clip_id in found.labels.ids if clip_id not in have]
    if not unknown or allow_missing is None:
        return found
    remedy = (
        "featurize these clips or remove their rows; if they are there under other names, say how these differ with "
        "--id-map FROM=TO"
    )
    error = unknown_clips(labels.origin, unknown, clips, remedy, "the store")
    if not allow_missing:
        raise error
    ids = [clip_id for clip_id in found.labels.ids if clip_id in have]
    if not ids:
        raise TrainError(f"none of the labelled clips is in the store, {error}")
    those = f"{counted(len(unknown), 'labelled clip')} that the store does not hold"
    note = f"{labels.origin}: {those} {'is' if len(unknown) == 1 else 'are'} left out: {name_a_few(unknown)}"
    return replace(found, labels=found.labels.select(ids), notes=(*found.notes, note))


def _sites_of_clips(
    path: Path, clips: Iterable[str], id_map: Sequence[IdRule]
) -> tuple[dict[str, str], tuple[str, ...]]:
    site_of = load_sites(path)
    matches = match_clips(site_of, clips, path.name, id_map)
    return renamed_sites(site_of, matches.clip_of, path.name), matches.notes


def places_of(
    clips: Iterable[str], *, sites: Path | None, site_pattern: str | None, id_map: Sequence[IdRule] = ()
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The site of each of some clips, as far as a table or else a pattern tells, and what the user should know.

    Raises:
        LabelError: the table or the pattern is not what it should be.
    """
    known = list(clips)
    if sites is not None:
        return _sites_of_clips(sites, known, id_map)
    return ({}, ()) if site_pattern is None else (sites_where_matched(known, site_pattern), ())


def _require_sites(labels: LabelTable, site_of: Mapping[str, str], path: Path) -> None:
    without = [clip_id for clip_id in labels.ids if clip_id not in site_of]
    if without:
        remedy = "every labelled clip needs a site: add their rows, or say how the ids differ with --id-map FROM=TO"
        raise unknown_clips(path.name, without, site_of, remedy, path.name)


def load_sites(path: Path) -> dict[str, str]:
    """Read a table of sites: a column of clips and a column `site`; other columns are ignored.

    Returns:
        The site of each clip id.

    Raises:
        LabelError: a column is missing, a site is empty, or a clip stands twice.
    """
    table = read_table(path)
    if "site" not in table.columns:
        raise LabelError(
            f"{table.name}: there is no column 'site', found {', '.join(table.columns)}; name it in line 1"
        )
    ids = table.clip_ids()
    table.require_single_rows([(clip_id,) for clip_id in ids])
    return dict(zip(ids, table.sites(ids), strict=True))


def sites_from_pattern(ids: Sequence[str], pattern: str) -> dict[str, str]:
    """The site of each clip, cut out of its id by a regular expression.

    Args:
        ids: clip ids.
        pattern: searched in each id; its group named `site`, else its first group, is the site.
            `^([^/]+)/` takes the first folder.

    Raises:
        LabelError: the pattern is malformed, has no group, or does not match an id.
    """
    found = sites_where_matched(ids, pattern)
    missed = [clip_id for clip_id in ids if clip_id not in found]
    if missed:
        raise LabelError(f"site pattern '{pattern}': no site in {len(missed)} clip ids: {name_a_few(missed)}")
    return found


def sites_where_matched(ids: Iterable[str], pattern: str) -> dict[str, str]:
    """What `sites_from_pattern` gives, of those ids that have a site.

    Raises:
        LabelError: the pattern is malformed or has no group.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise LabelError(
            f"site pattern '{pattern}': not a regular expression ({error}); write one in which the part of the path "
            "that is the site stands in brackets, such as '^([^/]+)/'"
        ) from error
    if expression.groups == 0:
        raise LabelError(f"site pattern '{pattern}': there is no group; put the part that is the site in brackets")
    group: str | int = "site" if "site" in expression.groupindex else 1
    found = ((clip_id, expression.search(clip_id)) for clip_id in ids)
    return {clip_id: match[group] for clip_id, match in found if match is not None and match[group]}
