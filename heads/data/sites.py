"""Sites: which clips were taken at one place, from a table, a column or a pattern in the clip's path."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from heads.data.label_formats import read_labels
from heads.data.labels import Labelled
from heads.data.tables import read_table
from heads.errors import LabelError
from store.ids import name_a_few


def labels_and_sites(path: Path, known: Iterable[str], *, sites: Path | None, site_pattern: str | None) -> Labelled:
    """The label table with its sites, and the site of each clip, labelled or not, as far as the same source tells.

    Args:
        path: the label table.
        known: ids of all clips, in which `site_pattern` is looked for too.
        sites: a table of the site of each clip.
        site_pattern: a pattern that finds the site in a clip id, instead.

    Raises:
        LabelError: a table or the pattern is not what it should be.
        UnknownClipError: a labelled clip has no site.
    """
    found = read_labels(path)
    labels = found.labels
    if sites is not None:
        site_of = load_sites(sites)
        return replace(found, labels=labels.with_sites(site_of, sites.name), sites=site_of)
    if site_pattern is None:
        return found
    own = sites_from_pattern(labels.ids, site_pattern)
    return replace(
        found, labels=labels.with_sites(own, "--site-pattern"), sites=sites_where_matched(known, site_pattern)
    )


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
        raise LabelError(f"site pattern '{pattern}': not a regular expression ({error})") from error
    if expression.groups == 0:
        raise LabelError(f"site pattern '{pattern}': there is no group; put the part that is the site in brackets")
    group: str | int = "site" if "site" in expression.groupindex else 1
    found = ((clip_id, expression.search(clip_id)) for clip_id in ids)
    return {clip_id: match[group] for clip_id, match in found if match is not None and match[group]}
