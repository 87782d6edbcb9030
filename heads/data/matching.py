"""Which clip an id of somebody's table means: tables are written elsewhere, under other paths, by other programs.

In this order: an id that is a clip's, as it stands; one that differs by white space, by case, by `./` or `//`; one
whose path ends as a single clip's path does (absolute paths, bare file names, another folder in front); the same
without the ending of the file's name, if all such ids have one ending, or none; last, one constant text before and
after that every remaining id has, or lacks. What may mean two clips means none, and two ids never share a clip by the
ends of their paths.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from heads.data.tables import tidy
from heads.errors import LabelError
from store.errors import UnknownClipError
from store.ids import normalise_clip_id, path_ends, unknown_ids

_FEWEST_FOR_A_CONSTANT = 2  # ids that must differ in the same way before a difference that is no path counts
_LEAST_IN_COMMON = 2  # parts of a path, where both sides have other folders in front: cameras count files from 1 again
_COMPARED = 2000  # clips among which the one that is nearest to an unknown id is looked for
_TRIED = 10  # unknown ids for which it is looked for
# Of 1: names of files from there on look alike; of 2,000 random names of ten hex digits the nearest has 0.6.
_ALIKE = 0.8
_ENDING = re.compile(r"\.[a-z0-9]{1,5}$")
_ABSOLUTE = re.compile(r"^(/|[A-Za-z]:/|[a-z]+://)")

Spelling = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class IdRule:
    """`FROM=TO`: ids of tables that are FROM become TO; a `*` in FROM is any text, which stands for the `*` in TO.

    Attributes:
        said: the rule as it was given.
        begin: what an id begins with.
        end: what it ends with.
        new_begin: what stands instead of the beginning.
        new_end: what stands instead of the end.
    """

    said: str
    begin: str
    end: str
    new_begin: str
    new_end: str

    def fits(self, clip_id: str) -> bool:
        """Whether it changes this id."""
        long_enough = len(clip_id) >= len(self.begin) + len(self.end)
        return long_enough and clip_id.startswith(self.begin) and clip_id.endswith(self.end)

    def apply(self, clip_id: str) -> str:
        """What the id becomes; it must fit."""
        return self.new_begin + clip_id[len(self.begin) : len(clip_id) - len(self.end)] + self.new_end


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Which clip each id of a table means.

    Attributes:
        clip_of: the clip of each id that means one, in the table's order.
        unknown: the ids that mean none.
        notes: what was taken for what, a sentence, unless all ids are as they stand those of clips.
    """

    clip_of: Mapping[str, str]
    unknown: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def rename(self, clip_id: str) -> str:
        """The clip that an id means; the id itself where it means none."""
        return self.clip_of.get(clip_id, clip_id)


def parse_id_map(texts: Iterable[str]) -> tuple[IdRule, ...]:
    """The rules of `--id-map FROM=TO`; without a `*`, FROM is what an id begins with.

    Raises:
        LabelError: a text is no such rule.
    """
    return tuple(_parse_rule(text) for text in texts)


def apply_rules(clip_id: str, rules: Sequence[IdRule]) -> str:
    """What an id becomes by the first rule that fits it; the id itself if none does."""
    rule = next((rule for rule in rules if rule.fits(clip_id)), None)
    return clip_id if rule is None else normalise_clip_id(rule.apply(clip_id))


def match_clips(ids: Iterable[str], clips: Iterable[str], origin: str, rules: Sequence[IdRule] = ()) -> Matches:
    """Find the clip that each id means.

    Args:
        ids: of a table.
        clips: ids of the clips that there are.
        origin: the table, for the note.
        rules: what is known of how the table's ids differ; the first that fits an id is applied to it.
    """
    wanted, known = dict.fromkeys(ids), dict.fromkeys(clips)
    asked = {clip_id: apply_rules(clip_id, rules) for clip_id in wanted}
    exact = {clip_id: name for clip_id, name in asked.items() if name in known}
    left = {clip_id: name for clip_id, name in asked.items() if clip_id not in exact}
    loose = _Search(known, exact).all_of(left) if left and known else {}
    found = exact | loose
    return Matches(
        clip_of={clip_id: found[clip_id] for clip_id in wanted if clip_id in found},
        unknown=tuple(clip_id for clip_id in wanted if clip_id not in found),
        notes=_notes(origin, loose, asked, len(wanted)),
    )


def require_fitting(rules: Sequence[IdRule], ids: Iterable[str], origin: str) -> None:
    """Raise LabelError, showing an id of the table, if one of the rules fits none of the ids."""
    listed = list(ids)
    for rule in rules:
        if not any(rule.fits(clip_id) for clip_id in listed):
            example = f", such as '{listed[0]}'" if listed else ""
            raise LabelError(
                f"--id-map '{rule.said}': it fits none of the {len(listed)} ids of {origin}{example}; FROM must be "
                "what the ids begin with, or have a * for what stays"
            )


def unknown_clips(
    origin: str, unknown: Sequence[str], clips: Iterable[str], remedy: str, whose: str
) -> UnknownClipError:
    """The error on ids that mean no clip: the first few, and a clip that looks like one of them, if any does.

    Args:
        origin: the table.
        unknown: ids.
        clips: what they were compared with.
        remedy: what to do.
        whose: whose the clips are, such as "the store".
    """
    beside = _nearest(unknown, list(clips))
    shown = "" if beside is None else f" ('{beside[0]}' beside '{beside[1]}' of {whose})"
    return UnknownClipError(f"{origin}: {unknown_ids(unknown)}{shown}; {remedy}")


def plain(clip_id: str) -> str:
    """An id without what does not count in a path: white space around its parts, and parts that are empty or `.`."""
    parts = (tidy(part) for part in clip_id.split("/"))
    return "/".join(part for part in parts if part not in ("", "."))


def folded(clip_id: str) -> str:
    """The same without case."""
    return plain(clip_id).casefold()


def stem(clip_id: str) -> str:
    """The same without the ending of the file's name."""
    return _ENDING.sub("", folded(clip_id))


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """An id and the clip whose path ends as it does.

    Attributes:
        clip: the clip.
        before: what stands before the common end in the id.
        clip_before: what stands before it in the clip's id.
        parts: how many parts of the path are common.
    """

    clip: str
    before: str
    clip_before: str
    parts: int


class _Search:
    """Looks among clips for what ids mean that are not clips' as they stand."""

    def __init__(self, clips: Iterable[str], exact: Mapping[str, str]) -> None:
        self.clips = list(clips)
        self.any_exact = bool(exact)
        self.taken = set(exact.values())
        self.apart: set[tuple[str, str]] = set()  # what stood before the common ends that were believed so far

    def all_of(self, asked: Mapping[str, str]) -> dict[str, str]:
        """The clip of each id of `asked` (id of the table: the id to look for) that means one."""
        left, found = dict(asked), dict[str, str]()
        steps: list[Callable[[Mapping[str, str]], dict[str, str]]] = [
            lambda some: self._equal(some, plain),
            lambda some: self._equal(some, folded),
            lambda some: self._by_end(some, plain),
            lambda some: self._by_end(some, folded),
            lambda some: self._by_end(some, stem) if _have_one_ending(some.values()) else {},
            self._by_constant,
        ]
        for step in steps:
            if not left:
                break
            new = step(left)
            self.taken |= set(new.values())
            found |= new
            left = {clip_id: name for clip_id, name in left.items() if clip_id not in new}
        return found

    def _equal(self, asked: Mapping[str, str], spelling: Spelling) -> dict[str, str]:
        clip_of = _only((spelling(clip), clip) for clip in self.clips)
        pairs = ((clip_id, clip_of.get(spelling(name))) for clip_id, name in asked.items())
        return {clip_id: clip for clip_id, clip in pairs if clip is not None}

    def _by_end(self, asked: Mapping[str, str], spelling: Spelling) -> dict[str, str]:
        """By the longest end of the path that one clip has and no other."""
        clip_of = _only((end, clip) for clip in self.clips for end in path_ends(spelling(clip)))
        shared: dict[str, _Shared] = {}
        unclear: dict[str, str] = {}
        for clip_id, name in asked.items():
            spelt = spelling(name)
            end = next((end for end in path_ends(spelt) if end in clip_of), None)
            if end is None:
                continue
            clip = clip_of[end]
            if clip is None:
                unclear[clip_id] = spelt
                continue
            clip_before = spelling(clip).removesuffix(end)
            shared[clip_id] = _Shared(
                clip=clip, before=spelt.removesuffix(end), clip_before=clip_before, parts=end.count("/") + 1
            )
        found = self._believed(shared, asked)
        differences = Counter((shared[clip_id].before, shared[clip_id].clip_before) for clip_id in found)
        if unclear and len(differences) == 1:
            [(before, clip_before)] = differences
            whole = _only((spelling(clip), clip) for clip in self.clips)
            for clip_id, spelt in unclear.items():
                clip = whole.get(clip_before + spelt.removeprefix(before)) if spelt.startswith(before) else None
                if clip is not None:
                    found[clip_id] = clip
        return self._unshared(found)

    def _believed(self, shared: Mapping[str, _Shared], asked: Mapping[str, str]) -> dict[str, str]:
        """Those of the common ends that say enough.

        Where both sides have folders of their own in front, or where the table knows folders and only the file's name
        is common, another site's clip of the same name may be meant: all such ids must then differ in one constant way.
        """
        differs = {clip_id: (each.before.casefold(), each.clip_before.casefold()) for clip_id, each in shared.items()}
        apart = self.apart | set(differs.values())
        found = {}
        for clip_id, each in shared.items():
            if each.before and each.clip_before:
                believed = each.parts >= _LEAST_IN_COMMON and len(apart) == 1
            elif each.before and each.parts == 1:
                believed = len(apart) == 1 and (not self.any_exact or bool(_ABSOLUTE.match(asked[clip_id])))
            else:
                believed = True
            if believed:
                found[clip_id] = each.clip
        self.apart |= {differs[clip_id] for clip_id in found}
        return found

    def _by_constant(self, asked: Mapping[str, str]) -> dict[str, str]:
        """By one text before and one after that all ids have and no clip has, or the other way round."""
        if len(asked) < _FEWEST_FOR_A_CONSTANT:
            return {}
        clip_of = _only((folded(clip), clip) for clip in self.clips)
        spelt = {clip_id: folded(name) for clip_id, name in asked.items()}
        first = next(iter(spelt.values()))
        for other in clip_of:
            longer, shorter = (first, other) if len(first) > len(other) else (other, first)
            if not shorter:
                continue
            before, between, after = longer.partition(shorter)
            if not between or not (before or after):
                continue
            found = {}
            for clip_id, name in spelt.items():
                if longer is other:
                    changed = before + name + after
                elif name.startswith(before) and name.endswith(after):
                    changed = name[len(before) : len(name) - len(after)]
                else:
                    break
                clip = clip_of.get(changed)
                if clip is None:
                    break
                found[clip_id] = clip
            if len(found) == len(spelt):
                return self._unshared(found)
        return {}

    def _unshared(self, found: Mapping[str, str]) -> dict[str, str]:
        """Without ids that would share a clip, with each other or with one that was found before."""
        times = Counter(found.values())
        return {clip_id: clip for clip_id, clip in found.items() if times[clip] == 1 and clip not in self.taken}


def _parse_rule(text: str) -> IdRule:
    old, equals, new = text.replace("\\", "/").partition("=")
    if not equals or not old or old.count("*") > 1 or new.count("*") != old.count("*"):
        raise LabelError(
            f"--id-map '{text}': expected FROM=TO, such as 'D:/cards/=' or '*.avi=*.mp4', with one * on both sides or "
            "none; put it in quotes"
        )
    begin, _, end = old.partition("*")
    new_begin, _, new_end = new.partition("*")
    return IdRule(said=text, begin=begin, end=end, new_begin=new_begin, new_end=new_end)


def _have_one_ending(names: Iterable[str]) -> bool:
    """Whether the file names all end alike, or all lack an ending: else photos may stand beside videos."""
    return len({folded(name).removeprefix(stem(name)) for name in names}) == 1


def _only(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """The clip of each spelling; None where several have it."""
    found: dict[str, str | None] = {}
    for spelt, clip in pairs:
        found[spelt] = clip if found.get(spelt, clip) == clip else None
    return found


def _notes(origin: str, loose: Mapping[str, str], asked: Mapping[str, str], total: int) -> tuple[str, ...]:
    """The sentence on what was taken for what: how many, one example, and the difference, if it is always the same."""
    if not loose:
        return ()
    clip_id, clip = next(iter(loose.items()))
    differences = {_difference(asked[each], other) for each, other in loose.items()}
    constant = next(iter(differences)) if len(differences) == 1 else ""
    always = f" ({'always: ' if len(loose) > 1 else ''}{constant})" if constant else ""
    return (
        f"{origin}: {len(loose)} of {total} clip ids are not spelt as the clips are and were matched: '{clip_id}' is "
        f"taken for '{clip}'{always}",
    )


def _difference(name: str, clip: str) -> str:
    """How an id and the clip that it means differ, in words."""
    if plain(name) == plain(clip):
        return "white space, './' or '//'"
    if folded(name) == folded(clip):
        return "upper and lower case"
    if name.casefold().endswith(clip.casefold()):
        return _one_way(name[: len(name) - len(clip)], "", "before the path")
    ours, theirs = folded(name), folded(clip)
    after = _common_start(ours[::-1], theirs[::-1])[::-1]
    before, clip_before = ours.removesuffix(after), theirs.removesuffix(after)
    if not (before and clip_before) or after.startswith("/"):
        return _one_way(before, clip_before, "before the path")
    front = _common_start(ours, theirs)
    behind, clip_behind = ours.removeprefix(front), theirs.removeprefix(front)
    if "/" not in behind + clip_behind and "." in behind + clip_behind:
        return _one_way(behind, clip_behind, "at the end")
    return ""


def _common_start(one: str, other: str) -> str:
    length = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    return one[: min(len(one), len(other)) if length is None else length]


def _one_way(ours: str, theirs: str, where: str) -> str:
    if not theirs:
        return f"'{ours}' {where}, which the clips' ids lack"
    if not ours:
        return f"'{theirs}' {where} is missing"
    return f"'{ours}' {where} instead of '{theirs}'"


def _nearest(unknown: Sequence[str], clips: Sequence[str]) -> tuple[str, str] | None:
    """One of the first unknown ids and the clip that looks most like it; None if none looks like any.

    Alike are clips whose file has the same name, or nearly so: folders and endings are shared by clips that have
    nothing else in common.
    """
    names: dict[str, list[str]] = {}
    for clip in clips:
        names.setdefault(_file_name(clip), []).append(clip)
    some = list(names)[:: -(-len(names) // _COMPARED) or 1]
    for clip_id in unknown[:_TRIED]:
        own = _file_name(clip_id)
        near = [own] if own in names else get_close_matches(own, some, n=1, cutoff=_ALIKE)
        if near:
            return clip_id, get_close_matches(clip_id, names[near[0]][:_COMPARED], n=1, cutoff=0)[0]
    return None


def _file_name(clip_id: str) -> str:
    """The name of an id's file, without case and ending."""
    return stem(clip_id).rpartition("/")[2]
