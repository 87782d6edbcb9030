"""A recipe's heads on the sources that a store holds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from heads.data.animal_names import ANIMALS, named_animals
from heads.data.features.readers import Reader
from heads.data.labels import BLANK
from heads.errors import RecipeError
from heads.models.reading import reader_for
from heads.recipe import EACH_SOURCE, HeadConfig, Recipe
from heads.run import BLEND, can_name_file
from store import FeatureReader, FeatureStore
from store.digest import settings_digest
from store.errors import StoreNotFoundError
from store.ids import name_a_few
from store.key import UNSET, FeatureKey, setting_words

_FEWEST_TO_JOIN = 2
_MADE_BY = {"pictures": "frames", "sound": "sound"}
_PLAIN_BESIDES_LETTERS = "-_+."
_DIGEST_CHARS = 6
# The networks whose own last layer `featurize` keeps beside features that are made by their own weights.
WITH_CLASSIFIER = frozenset({"efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"})


@dataclass(frozen=True, kw_only=True)
class HeadSpec:
    """A head of the recipe on one source of the store, or on several that are joined.

    Attributes:
        name: what it is called in the run.
        config: its settings.
        keys: the features that it reads.
    """

    name: str
    config: HeadConfig
    keys: tuple[FeatureKey, ...]

    def reader(self, readers: Mapping[str, FeatureReader]) -> Reader:
        """What it reads, out of the readers of the store's keys by folder name."""
        return reader_for(self.config, [readers[key.folder] for key in self.keys])


@dataclass(frozen=True, kw_only=True)
class ResolvedRecipe:
    """What a recipe comes to on a store.

    Attributes:
        heads: what is trained.
        notes: what of the recipe is not there, a sentence each, for the user.
    """

    heads: list[HeadSpec]
    notes: list[str]


def resolve_heads(
    recipe: Recipe, store: FeatureStore, classes: Sequence[str] | None = None, features: Sequence[str] = ()
) -> ResolvedRecipe:
    """The heads of `recipe` on the sources that `store` holds, and on labels with `classes`.

    `each` means whatever the store holds, so a recipe that was published for other backbones is trained on those that
    are there. A joined head needs two sources at least; a head for classes that the labels lack is left out.

    Args:
        recipe: what is to be trained.
        store: holds the features.
        classes: of the labels; any if None.
        features: which of the store's features may be read, as `choose_keys` takes it; all if empty.

    Raises:
        RecipeError: two heads would have the same name, one that of the run's blend, or nothing is left to train.
        StoreNotFoundError: a named source is not there, or may mean several keys.
    """
    chosen = choose_keys(store, features)
    held = sorted({key.source for key in chosen})
    if not held:
        raise RecipeError(f"{store.root}: the store holds no features; run `featurize` first")
    heads: list[HeadSpec] = []
    # A head that is for a view which is not held is told of unless it is trained for another view.
    left_out: list[tuple[HeadConfig, str, bool]] = []
    spelt = spell_sources(held)
    notes = [*_missing(recipe, held), *_misspelt(recipe, held)]
    asking: list[HeadSpec] = []
    for config in recipe.heads:
        lacking = [name for name in config.classes if classes is not None and name not in classes]
        if lacking:
            told = f"head '{config.title}' is left out: no clip is labelled '{lacking[0]}'"
            left_out.append((config, told, True))
            continue
        keys = _wanted_keys(config, store, chosen)
        keys = [key for key in keys if config.view in (None, key.view["name"])]
        if not keys and config.view is not None:
            near = get_close_matches(config.view, {key.view["name"] for key in chosen}, n=1)
            meant = f"; did you mean '{near[0]}'?" if near else ""
            left_out.append((config, _left_out(config, held, features) + meant, bool(near)))
            continue
        if config.joined and len(keys) < _FEWEST_TO_JOIN:
            few = ", ".join(key.source for key in keys) or "none"
            told = f"head '{config.title}' is left out: it joins sources, and there is {few}"
            left_out.append((config, told, True))
            continue
        if not keys:
            left_out.append((config, _left_out(config, held, features), True))
            continue
        found = _on_keys(config, keys, spelt)
        asking += [head for head in found if config.named]
        heads += [_without_names(head, store, classes) for head in found]
    trained = {head.config.title for head in heads}
    notes += [told for config, told, always in left_out if always or config.title not in trained]
    notes += _on_names(asking, store, classes) if classes is not None else []
    names = [head.name for head in heads]
    if len({name.casefold() for name in names}) < len(names):  # they become files, on systems that know no case too
        raise RecipeError(
            f"the recipe trains {name_a_few(sorted(names))} more than once; give heads a `name` of their own"
        )
    unfit = [name for name in names if not can_name_file(name)]
    if unfit:
        raise RecipeError(
            f"'{unfit[0]}' cannot name a head: it becomes a file name, which not every system takes; use letters, "
            "digits, '-', '_', '+', '.'"
        )
    if BLEND in names:
        raise RecipeError(f"a head cannot be called '{BLEND}', the run's own blend is; give it another `name`")
    if not heads:
        raise RecipeError(f"{store.root}: no head of the recipe fits what the store holds ({', '.join(held)})")
    return ResolvedRecipe(heads=heads, notes=notes)


def _wanted_keys(config: HeadConfig, store: FeatureStore, chosen: Sequence[FeatureKey]) -> list[FeatureKey]:
    """The keys that a head's `sources` mean; `each` means pictures or sound for kinds that learn from these, else all
    but these, since what is kept beside pictures says little by itself, and numbers of sound nothing one by one.

    Raises:
        RecipeError: a source is named that does not hold what the head learns from.
        StoreNotFoundError: a named source is not there, or may mean several keys.
    """
    content = config.traits.content
    if config.sources == EACH_SOURCE:
        chosen = [key for key in chosen if key.content == content and not _lacking_taps(config, key)]
    wanted = sorted({key.source for key in chosen}) if config.sources == EACH_SOURCE else config.sources
    keys = [store.find(source, chosen) for source in wanted if source not in config.without]
    without = [key.source for key in keys if content != "features" and key.content != content]
    if without:
        raise RecipeError(
            f"head '{config.title}' is of kind {config.kind}, which learns from {content}, and {without[0]} holds none"
            f"; name a source that `featurize --backbone {_MADE_BY[content]}` made, or leave `sources` out"
        )
    for key in keys:
        lacking = _lacking_taps(config, key)
        if lacking:
            raise RecipeError(
                f"head '{config.title}': {key.source} has no tap {' or '.join(lacking)}, expected some of "
                f"{', '.join(name for name, _ in key.taps)}; name others as `taps`, or another source"
            )
    return keys


def _lacking_taps(config: HeadConfig, key: FeatureKey) -> list[str]:
    """Which of the taps that a head names features of a key do not have."""
    return [name for name in config.taps if name not in dict(key.taps)]


def choose_keys(store: FeatureStore, features: Sequence[str]) -> list[FeatureKey]:
    """The keys of a store that some words mean; all if there are no words.

    Args:
        store: holds the features.
        features: names as `FeatureStore.find` reads them, of which a key fits any; and settings, `name=value` as
            `store.key.setting_words` spells them, one or several separated by spaces, of which it fits all. A setting
            of views does not concern a source of which no key has it; where another has it, it is `none` for this one.

    Raises:
        StoreNotFoundError: a name means nothing in the store, or nothing fits.
    """
    settings = [each.partition("=") for words in features if "=" in words for each in words.split()]
    names = [words for words in features if "=" not in words]
    for name in names:
        if not store.meant(name):
            store.find(name)
    named = {key.folder for name in names for key in store.meant(name)}
    keys = [key for key in store.keys() if not names or key.folder in named]
    fits = [
        key
        for key in keys
        if all(
            setting_words(key).get(name.strip(), UNSET) == value.strip()
            for name, _, value in settings
            if _concerns(name.strip(), key, keys)
        )
    ]
    if features and not fits:
        held = name_a_few([f"{key.folder} ({_told(key, settings)})" for key in keys])
        raise StoreNotFoundError(f"{store.root}: no features fit --features {' '.join(features)}; there are: {held}")
    return fits


def _concerns(setting: str, key: FeatureKey, keys: Sequence[FeatureKey]) -> bool:
    """Whether a setting says something about a key: one of views does if the key's source has it in any of `keys`."""
    of_views = any(setting in each.view for each in keys) and not any(setting in each.sampling for each in keys)
    return not of_views or any(setting in each.view for each in keys if each.source == key.source)


def spell_sources(sources: Sequence[str]) -> dict[str, str]:
    """What to call each source in the name of a head, which becomes the name of files and folders on any system.

    A source that can name a file keeps its name. In others (`keras:FILE`, `hub:HANDLE`) whatever is neither letter nor
    digit becomes a dash, and those that then differ from another by nothing but case are told apart by a digest.
    """
    plain = {source: source if can_name_file(source) else _spell(source) for source in sources}
    times = Counter(name.casefold() for name in plain.values())
    return {
        source: name
        if name == source or times[name.casefold()] == 1
        else f"{name}-{settings_digest(source)[:_DIGEST_CHARS]}"
        for source, name in plain.items()
    }


def _told(key: FeatureKey, settings: Sequence[tuple[str, str, str]]) -> str:
    """What a key has for the settings that were asked for, or else how it samples."""
    words = setting_words(key)
    asked = [f"{name}={words[name]}" for name, _, _ in settings if name in words]
    return " ".join(asked or [f"{name}={words[name]}" for name in key.sampling])


def _spell(source: str) -> str:
    letters = (letter if letter.isalnum() or letter in _PLAIN_BESIDES_LETTERS else "-" for letter in source)
    return "".join(letters).rstrip(".")


def _on_keys(config: HeadConfig, keys: Sequence[FeatureKey], spelt: Mapping[str, str]) -> list[HeadSpec]:
    title = config.title
    if config.joined:
        return [HeadSpec(name=title, config=config, keys=tuple(keys))]
    return [HeadSpec(name=f"{title}-{spelt[key.source]}", config=config, keys=(key,)) for key in keys]


def _without_names(head: HeadSpec, store: FeatureStore, classes: Sequence[str] | None) -> HeadSpec:
    """The head, which does not ask what the backbone itself takes clips for where nothing could be told by it."""
    config = head.config
    if not config.named:
        return head
    known = len(head.keys) == 1 and not config.taps and store.has_classifier(head.keys[0])
    if known and (classes is None or named_animals(config.classes or classes, config.names)):
        return head
    return replace(head, config=config.model_copy(update={"named": False, "names": {}}))


def _on_names(asking: Sequence[HeadSpec], store: FeatureStore, classes: Sequence[str]) -> list[str]:
    """Sentences on what networks themselves take clips for: for which classes it speaks, and where it is not kept.

    Args:
        asking: the heads whose recipe asks for it.
        store: holds the features.
        classes: of the labels.
    """
    unknown = dict.fromkeys(name for head in asking for name in head.config.names if name not in classes)
    notes = [f"`names` says what '{name}' means, and no clip is labelled so{_meant(name, classes)}" for name in unknown]
    able = [head for head in asking if len(head.keys) == 1 and not head.config.taps]
    kept = [head for head in able if store.has_classifier(head.keys[0])]
    lacking = dict.fromkeys(
        head.keys[0].source for head in able if head not in kept and head.keys[0].backbone in WITH_CLASSIFIER
    )
    means = {
        name: numbers
        for head in able
        for name, numbers in named_animals(head.config.classes or classes, head.config.names).items()
    }
    others = [name for name in classes if name not in means and name != BLANK]
    if kept and means:
        told = ", ".join(f"'{name}' ({_some_animals(means[name])})" for name in classes if name in means)
        rest = f"; it knows nothing of {name_a_few(others)}" if others else ""
        notes.append(f"what the network itself takes a clip for speaks for {told}{rest}")
    elif kept and others:
        notes.append(
            f"what the network itself takes a clip for speaks for no class, since it knows none by name, such as "
            f"{name_a_few(others)}; the setting `names` of a head says which animals a class means"
        )
    if lacking and means:
        notes.append(
            f"{', '.join(lacking)}: what the network itself takes a clip for is not kept beside these features, and "
            f"would speak for {name_a_few(name for name in classes if name in means)}; the `featurize` command that "
            "made them keeps it when it is run once more, and computes nothing again"
        )
    return notes


def _meant(name: str, classes: Sequence[str]) -> str:
    near = get_close_matches(name, classes, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _some_animals(numbers: Sequence[int]) -> str:
    first = ANIMALS[numbers[0]]
    return first if len(numbers) == 1 else f"{first} and {len(numbers) - 1} more"


def _left_out(config: HeadConfig, held: Sequence[str], features: Sequence[str]) -> str:
    """The sentence on a head whose sources the store does not hold, or whose sources may not be read."""
    where = "--features leaves" if features else "the store holds"
    return f"head '{config.title}' is left out: nothing that {where} ({', '.join(held)}) is of {_asked_for(config)}"


def _asked_for(config: HeadConfig) -> str:
    """Which sources a head is limited to, in words."""
    asked = [] if config.sources == EACH_SOURCE else [f"sources {', '.join(config.sources)}"]
    asked += [f"view {config.view}"] if config.view else []
    asked += [f"sources other than {', '.join(config.without)}"] if config.without else []
    content = config.traits.content
    if content != "features":
        asked.append(f"sources of {content}, as `featurize --backbone {_MADE_BY[content]}` makes one")
    if config.taps:
        asked.append(f"sources with the taps {', '.join(config.taps)}")
    asked = asked or ["sources other than pictures and sound"]
    return " and ".join(asked)


def _misspelt(recipe: Recipe, held: Sequence[str]) -> list[str]:
    """A sentence on each source that is to be left out and is not there, where one is there that may be meant.

    A recipe serves any store, so that what it leaves out need not be there.
    """
    known = {*held, *recipe.made_for}
    names = dict.fromkeys(name for head in recipe.heads for name in head.without)
    return [
        f"`without` names '{name}', which leaves nothing out: the store does not hold it; did you mean '{near[0]}'?"
        for name in names
        if name not in known and name.partition("+")[0] not in recipe.made_for
        if (near := [source for source in held if source.startswith(name)] or get_close_matches(name, held))
        and near[0] not in names
    ]


def _missing(recipe: Recipe, held: Sequence[str]) -> list[str]:
    missing = [source for source in recipe.made_for if source not in held]
    if not missing:
        return []
    return [
        f"the recipe was made for {', '.join(recipe.made_for)}; the store lacks {', '.join(missing)}, so its heads are "
        f"trained on what is there: {', '.join(held)}"
    ]
