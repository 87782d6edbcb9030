"""Sites: which clips were taken at one place, from a table, a column or a pattern in the clip's path."""

from collections.abc import Iterable
from pathlib import Path

from heads.data.labels import LabelTable, load_labels, load_sites, sites_from_pattern, sites_where_matched


def labels_and_sites(
    path: Path, known: Iterable[str], *, sites: Path | None, site_pattern: str | None
) -> tuple[LabelTable, dict[str, str]]:
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
    labels = load_labels(path)
    if sites is not None:
        site_of = load_sites(sites)
        return labels.with_sites(site_of, sites.name), site_of
    if site_pattern is None:
        return labels, {}
    own = sites_from_pattern(labels.ids, site_pattern)
    return labels.with_sites(own, "--site-pattern"), sites_where_matched(known, site_pattern)
