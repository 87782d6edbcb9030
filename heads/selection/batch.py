"""A batch of clips that does not show one thing over and over: one clip a burst, a quota a site, not mostly blanks."""

import math
from collections import Counter
from collections.abc import Iterable
from enum import IntEnum

from heads.selection.pool import Pool
from heads.selection.queued import Pick

_SITE_SHARES = 2  # a site may give so many times its share
_BLANK_SHARE = 0.5


class Rules(IntEnum):
    """Which rules hold: each number some more."""

    NONE = 0
    BURSTS = 1
    SITES = 2
    ALL = 3


class Batch:
    """Clips of a pool, taken one by one.

    Args:
        pool: the clips.
        count: how many the batch is to hold.
    """

    def __init__(self, pool: Pool, count: int) -> None:
        self.pool = pool
        self.count = count
        self.rows: list[int] = []
        sites = {site for site, is_open in zip(pool.sites, pool.open.tolist(), strict=True) if is_open and site}
        self._quota = math.ceil(count * _SITE_SHARES / max(len(sites), 1))
        self._most_blank = math.floor(count * _BLANK_SHARE)
        self._bursts, self._blank = pool.bursts.tolist(), pool.likely_blank.tolist()
        self._of_site: Counter[str] = Counter()
        self._held: set[int] = set()
        self._seen: set[int] = set()
        self._blanks = 0

    @property
    def room(self) -> int:
        """How many clips still fit."""
        return self.count - len(self.rows)

    def take(self, picks: Iterable[Pick], most: int, rules: Rules = Rules.ALL) -> list[Pick]:
        """Take those of `picks`, the first first, that fit; `most` at most.

        One that the batch holds does not fit; by the rules, neither does one of whose burst it has a clip, one beyond
        the quota of its site, or one beyond the share of clips that are likely blank.
        """
        taken: list[Pick] = []
        for pick in picks:
            if len(taken) >= most or not self.room:
                break
            if self._fits(pick.row, rules):
                self.add(pick.row)
                taken.append(pick)
        return taken

    def add(self, row: int) -> None:
        """Take a clip, whether it fits or not."""
        self.rows.append(row)
        self._held.add(row)
        self._seen.add(self._bursts[row])
        self._of_site[self.pool.sites[row]] += 1
        self._blanks += self._blank[row]

    def _fits(self, row: int, rules: Rules) -> bool:
        site = self.pool.sites[row]
        return (
            row not in self._held
            and (rules < Rules.BURSTS or self._bursts[row] not in self._seen)
            and (rules < Rules.SITES or not site or self._of_site[site] < self._quota)
            and (rules < Rules.ALL or not self._blank[row] or self._blanks < self._most_blank)
        )
