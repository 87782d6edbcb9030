import hashlib
import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_store import made_key, make_store

from featurize.backbones.registry import BACKBONES, find_backbone
from heads.data.animal_names import ANIMALS
from heads.errors import RecipeError
from heads.recipe import HeadConfig, Recipe, adapt, builtin_recipe, load_recipe
from heads.run import RunDirectory
from heads.workflows.resolve import WITH_CLASSIFIER, resolve_heads, spell_sources
from store import FeatureKey, FeatureStore
from store.config import parse_settings
from store.errors import ConfigError, StoreNotFoundError
from store.format.classifier_file import IMAGENET_ANIMALS, Classifier
from store.maintenance.sweep import unwanted_keys, wanted_sources

RECIPE = Recipe()
CONFIG = HeadConfig()


def test_recipes_say_what_is_wrong_with_them(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps({"heads": [{"kind": "attention", "epoch": 3}]}))
    with pytest.raises(ConfigError, match=r"heads\.0\.epoch: no such setting"):
        load_recipe(path)
    store = FeatureStore.open(tmp_path / "store", create=True)
    with pytest.raises(RecipeError, match="the store holds no features; run `featurize` first"):
        resolve_heads(RECIPE, store)
    twice = Recipe(heads=(CONFIG, CONFIG))
    with pytest.raises(RecipeError, match="more than once"):
        resolve_heads(twice, make_store(tmp_path / "s", np.ones((3, 2), np.uint8)))
    taken = Recipe(heads=(HeadConfig(name="blend", joined=True),))
    with pytest.raises(RecipeError, match="a head cannot be called 'blend', the run's own blend is"):
        resolve_heads(taken, make_store(tmp_path / "two", np.ones((3, 2), np.uint8), ("one", "other")))


@pytest.mark.parametrize(("text", "number"), [("1e-3", "1.0e-3"), ("2.5e2", "2.5e+2")])
def test_numbers_that_yaml_takes_for_text_are_written_out_once(tmp_path: Path, text: str, number: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"heads:\n  - {{kind: attention, learning_rate: {text}}}\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert str(caught.value) == f"{path}: heads.0.learning_rate: YAML takes {text} for text; write {number}"
    path.write_text(path.read_text().replace(text, number))
    assert load_recipe(path).heads[0].learning_rate == float(text)


@pytest.mark.parametrize("seed", [-1, 2**31 - 100_000])
def test_a_seed_that_not_every_generator_takes_is_refused(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"seed: {seed}\n")
    with pytest.raises(ConfigError, match=rf"recipe.yaml: seed: Input should be .*, received {seed}"):
        load_recipe(path)
    with pytest.raises(ConfigError, match=rf"--seed: seed: Input should be .*, received {seed}"):
        adapt(load_recipe(None), seed=seed, no_metadata=False)
    assert adapt(load_recipe(None), seed=7, no_metadata=True) == load_recipe(None).model_copy(update={"seed": 7})


def test_a_recipe_of_hours_is_tried_in_a_few_epochs_whose_last_stay_in_proportion(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "heads:\n"
        "  - {kind: conv3d, epochs: 200, sgd_epochs: 50}\n"
        "  - {kind: finetuned, epochs: 8, head_epochs: 3}\n"
        "  - {kind: deviation, epochs: 3, statistics: [deviation], queries: 0}\n"
        "  - {kind: discriminant, statistics: [deviation]}\n"
    )
    recipe = load_recipe(path)
    short = adapt(recipe, seed=None, no_metadata=False, epochs=4)
    assert [(head.epochs, head.sgd_epochs, head.head_epochs) for head in short.heads[:3]] == [
        (4, 1, 0),
        (4, 0, 2),
        (3, 0, 0),
    ]
    assert short.heads[2:] == recipe.heads[2:]
    assert adapt(recipe, seed=None, no_metadata=False, epochs=2).heads[1].head_epochs == 1
    assert parse_settings(short.model_dump(mode="json"), Recipe, "config.yaml") == short
    with pytest.raises(ConfigError, match=r"epochs=0: a head is trained for one epoch at least"):
        adapt(recipe, seed=None, no_metadata=False, epochs=0)


def test_further_epochs_on_clips_without_labels_are_shortened_too_where_the_others_are_few() -> None:
    recipe = Recipe(heads=(HeadConfig(epochs=3, pseudo_epochs=20),))
    (head,) = adapt(recipe, seed=None, no_metadata=False, epochs=4).heads
    assert (head.epochs, head.pseudo_epochs) == (3, 4)


def test_settings_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match="class_balance: what unlabelled clips show is not known"):
        HeadConfig(class_balance=0.5, pseudo_epochs=2)
    with pytest.raises(ValueError, match="tap_dropout: a head of kind attention has no use for it"):
        HeadConfig(tap_dropout=0.2)


def test_the_recipes_that_come_along_are_valid() -> None:
    folder = Path(__file__).parents[2] / "configs"
    recipes = {path.stem: load_recipe(path) for path in folder.glob("*.yaml")}
    assert set(recipes) >= {"default", "demo", "third_place", "first_place", "second_place", "benchmark"}
    assert load_recipe(None) == recipes["default"]


def test_the_second_place_is_four_heads_and_each_reads_its_own_kind_of_features(tmp_path: Path) -> None:
    recipe = load_recipe(builtin_recipe("second_place"))
    assert [(head.title, head.kind) for head in recipe.heads] == [
        ("conv3d", "conv3d"),
        ("hashes", "gru"),
        ("wide", "gru"),
        ("conv1d", "conv1d"),
    ]
    for head in recipe.heads:
        own = {name: getattr(head, name) for name in ("name", "without", "taps", "recurrent_units", "window", "epochs")}
        assert head == HeadConfig(kind=head.kind, **own, sgd_epochs=head.sgd_epochs)  # all else as published
    shares = [(head.recurrent_units, round(360 * head.window), round(60 * head.window)) for head in recipe.heads[1:3]]
    assert shares == [(128, 330, 55), (1024, 336, 56)]
    store = FeatureStore.open(tmp_path / "store", create=True)
    for name in ("frames", "hashes", "phash", "sound", "audio", "efficientnet_lite0"):
        backbone = find_backbone(name)
        taps = tuple((tap.name, tap.channels) for tap in backbone.taps)
        key = replace(made_key(name), taps=taps, preprocessing=backbone.preprocessing.name)
        with store.writer(key):
            pass
    assert [head.name for head in resolve_heads(recipe, store).heads] == [
        "conv3d-frames",
        "hashes-hashes",
        "hashes-phash",
        "wide-efficientnet_lite0",
        "conv1d-sound",
    ]


def test_the_published_recipe_is_nine_heads_and_shrinks_to_what_a_store_holds(tmp_path: Path) -> None:
    recipe = load_recipe(builtin_recipe("third_place"))
    assert {(head.kind, head.epochs, head.pseudo_epochs) for head in recipe.heads} == {
        ("attention", 15, 5),
        ("recurrent", 15, 5),
    }
    assert all((head.dense_units, head.metadata_units) == ((1024, 1024), (128, 128)) for head in recipe.heads)
    labels = np.ones((3, 2), np.uint8)
    whole = resolve_heads(recipe, make_store(tmp_path / "four", labels, recipe.made_for), ("blank", "deer"))
    assert sorted(head.name for head in whole.heads) == [
        "attention-inception_resnet_v2",
        "attention-inception_v4",
        "attention-nasnet",
        "attention-resnet152",
        "concat",
        "concat-blank",
        "recurrent-inception_resnet_v2",
        "recurrent-inception_v4",
        "recurrent-resnet152",
    ]
    assert whole.notes == []
    assert {len(head.keys) for head in whole.heads if head.config.joined} == {3}
    other = resolve_heads(recipe, make_store(tmp_path / "one", labels, ("made",)), ("deer",))
    assert [head.name for head in other.heads] == ["attention-made", "recurrent-made"]
    assert [note.split(";")[0] for note in other.notes] == [
        "the recipe was made for nasnet, resnet152, inception_v4, inception_resnet_v2",
        "head 'concat' is left out: it joins sources, and there is made",
        "head 'concat-blank' is left out: no clip is labelled 'blank'",
    ]


def test_which_features_are_read_can_be_said_by_settings_and_names(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((3, 2), np.uint8), ("one", "two"))
    (one,) = (key for key in store.keys() if key.source == "one")
    dense = replace(one, sampling={"mode": "fps", "fps": 3.0, "max_frames": 180})
    for key in (dense, replace(dense, view={"name": "motion"})):
        with store.writer(key):
            pass
    recipe = Recipe(heads=(HeadConfig(kind="attention"),))

    def read(*features: str) -> list[tuple[str, float]]:
        heads = resolve_heads(recipe, store, features=features).heads
        return sorted((head.name, head.keys[0].sampling["fps"]) for head in heads)

    with pytest.raises(StoreNotFoundError, match=r"'one' may mean .*--features 'fps=[13]'"):
        read()
    assert read("fps=3") == [("attention-one", 3.0), ("attention-one+motion", 3.0)]
    assert read("fps=1") == [("attention-one", 1.0), ("attention-two", 1.0)]
    assert read("one", "fps=3 max_frames=180") == [("attention-one", 3.0)]
    assert read(one.folder, "two") == [("attention-one", 1.0), ("attention-two", 1.0)]
    with pytest.raises(
        StoreNotFoundError, match=r"no features fit --features fps=8; there are: 'one-motion-\w+ \(fps=3\)', "
    ):
        read("fps=8")
    with pytest.raises(StoreNotFoundError, match="no features 'three'"):
        read("three")


def test_features_made_before_there_was_a_setting_of_their_view_can_be_chosen(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((3, 2), np.uint8), ("one",))
    (whole,) = store.keys()
    older = replace(whole, view={"name": "motion", "steady.gain": 0.7})
    newer = replace(whole, view={"name": "motion", "steady.gain": 0.7, "steady.revision": 2})
    for key in (older, newer):
        with store.writer(key):
            pass
    recipe = Recipe(heads=(HeadConfig(kind="attention"),))

    def read(*features: str) -> list[FeatureKey]:
        return [head.keys[0] for head in resolve_heads(recipe, store, features=features).heads]

    with pytest.raises(StoreNotFoundError, match=r"may mean .*--features 'steady.revision=(2|none)'"):
        read()
    assert read("steady.revision=none") == [whole, older]
    assert read("steady.revision=2") == [whole, newer]
    assert read("steady.gain=0.7", "steady.revision=2") == [whole, newer]


def test_a_head_that_is_there_for_several_views_is_silent_about_those_that_the_store_lacks(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", np.ones((3, 2), np.uint8), ("one",))
    heads = tuple(HeadConfig(kind="deviation", view=view) for view in ("whole", "motion", "animal"))
    assert resolve_heads(Recipe(heads=heads), store).notes == []
    alone = resolve_heads(Recipe(heads=(*heads, HeadConfig(kind="discriminant", view="motion"))), store)
    assert [note.split(";")[0] for note in alone.notes] == [
        "head 'discriminant' is left out: nothing that the store holds (one) is of view motion"
    ]
    (note,) = resolve_heads(Recipe(heads=(*heads, HeadConfig(kind="deviation", view="whol"))), store).notes
    assert note.endswith("did you mean 'whole'?")


def test_heads_on_own_models_are_named_as_files_may_be_named(tmp_path: Path) -> None:
    sources = ("keras:Mine", "keras:mine", "hub:google-x-1", 'hub:a b"<c>|?*.', "keras:löwe.v2+motion")
    store = make_store(tmp_path, np.ones((3, 2), np.uint8), sources)
    recipe = Recipe(heads=(HeadConfig(kind="attention"),))
    names = {head.keys[0].source: head.name for head in resolve_heads(recipe, store).heads}
    digests = {source: hashlib.sha256(f'"{source}"'.encode()).hexdigest()[:6] for source in sources}
    assert names == {
        "keras:Mine": f"attention-keras-Mine-{digests['keras:Mine']}",
        "keras:mine": f"attention-keras-mine-{digests['keras:mine']}",
        "hub:google-x-1": "attention-hub-google-x-1",
        'hub:a b"<c>|?*.': "attention-hub-a-b--c----",
        "keras:löwe.v2+motion": "attention-keras-löwe.v2+motion",
    }
    run = RunDirectory(tmp_path / "run")
    assert {run.head_folder(name).name for name in names.values()} == set(names.values())
    chosen = resolve_heads(Recipe(heads=(HeadConfig(kind="attention", sources=("keras:mine",)),)), store)
    assert [head.name for head in chosen.heads] == [names["keras:mine"]]


def test_sources_that_could_name_heads_before_keep_their_names() -> None:
    sources = ["made+left half", "made+Left half", *(f"{name}{view}" for name in BACKBONES for view in ("", "+motion"))]
    assert spell_sources(sources) == {source: source for source in sources}


def test_a_head_can_be_for_one_view_only(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((3, 2), np.uint8))
    only_whole = [head.name for head in resolve_heads(load_recipe(None), store).heads]
    assert only_whole == ["deviation-made"]
    reader = store.reader(made_key())
    with store.writer(replace(made_key(), view={"name": "motion"})) as writer:
        for index in range(len(reader)):
            writer.add(reader.row(index))
    heads = resolve_heads(load_recipe(None), store).heads
    assert {head.name: head.config.view for head in heads} == {
        "deviation-made": "whole",
        "deviation-made+motion": "motion",
        "discriminant-made+motion": "motion",
    }
    with store.writer(replace(made_key(), view={"name": "animal"})) as writer:
        for index in range(len(reader)):
            writer.add(reader.row(index))
    more = {head.name: head.config for head in resolve_heads(load_recipe(None), store).heads}
    assert len(more) == 5
    for kind in ("deviation", "discriminant"):
        moving, animals = more[f"{kind}-made+motion"], more[f"{kind}-made+animal"]
        assert animals == moving.model_copy(update={"view": "animal"})


def test_a_head_for_a_view_that_nobody_featurized_is_left_out_with_what_may_be_meant(tmp_path: Path) -> None:
    """Which views there are is for the store to say: a recipe may name any."""
    store = make_store(tmp_path, np.ones((3, 2), np.uint8))
    for view in ("motion", "left half"):
        with store.writer(replace(made_key(), view={"name": view})):
            pass
    heads = (
        HeadConfig(name="there", view="left half"),
        HeadConfig(name="slip", view="motoin"),
        HeadConfig(name="pair", view="motoin", joined=True),
        HeadConfig(name="new", view="infrared"),
    )
    resolved = resolve_heads(Recipe(heads=heads), store)
    assert [head.name for head in resolved.heads] == ["there-made+left half"]
    held = "nothing that the store holds (made, made+left half, made+motion) is of view"
    assert resolved.notes == [
        f"head 'slip' is left out: {held} motoin; did you mean 'motion'?",
        f"head 'pair' is left out: {held} motoin; did you mean 'motion'?",
        f"head 'new' is left out: {held} infrared",
    ]


def test_a_class_is_the_same_in_either_spelling() -> None:
    assert HeadConfig(classes=(unicodedata.normalize("NFD", "Céphalophe"),)).classes == ("Céphalophe",)


@pytest.mark.parametrize(
    "text",
    [
        *(builtin_recipe(name).read_text(encoding="utf-8") for name in ("default", "demo", "third_place")),
        "heads: [{sources: [one]}, {kind: deviation}]",
        "heads: [{sources: [one-whole]}]",
        "heads: [{sources: [one, two+motion], joined: true}, {sources: each, without: [one], view: motion, name: m}]",
    ],
)
def test_what_a_recipe_trains_on_is_never_unwanted(tmp_path: Path, text: str) -> None:
    store = make_store(tmp_path / "store", np.ones((3, 2), np.uint8), ("one", "two", "three"))
    for name in ("one", "two"):
        with store.writer(replace(made_key(name), view={"name": "motion"})):
            pass
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    heads = resolve_heads(load_recipe(path), store).heads
    unwanted = unwanted_keys(store, wanted_sources([path]))
    assert {key.folder for head in heads for key in head.keys}.isdisjoint(key.folder for key in unwanted)


def test_heads_read_one_precision_and_the_store_s_two_are_never_mixed(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", np.ones((3, 2), np.uint8))
    halved = replace(made_key(), precision="bf16")
    with store.writer(halved):
        pass
    with pytest.raises(StoreNotFoundError, match=r"precision=f32.*precision=bf16|precision=bf16.*precision=f32"):
        resolve_heads(RECIPE, store)
    for precision, key in (("f32", made_key()), ("bf16", halved)):
        (head,) = resolve_heads(Recipe(heads=(CONFIG,)), store, features=[f"precision={precision}"]).heads
        assert head.keys == (key,)


def _with_classifier(store: FeatureStore, backbone: str) -> None:
    store.add_classifier(
        made_key(backbone),
        Classifier(
            classes=IMAGENET_ANIMALS,
            tap=made_key(backbone).taps[-1][0],
            kernel=np.zeros((made_key(backbone).taps[-1][1], len(ANIMALS)), np.float32),
            bias=np.zeros(len(ANIMALS), np.float32),
        ),
    )


def test_it_is_told_for_which_classes_a_network_itself_speaks_and_where_that_is_not_kept(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((3, 2), np.uint8), ("efficientnet_lite0", "other"))
    recipe = Recipe(heads=(HeadConfig(kind="discriminant", named=True),))
    (note,) = resolve_heads(recipe, store, ("blank", "lion", "bear", "Reh")).notes
    assert note.startswith("efficientnet_lite0: what the network itself takes a clip for is not kept")
    assert "would speak for 'lion', 'bear'; the `featurize` command" in note
    assert resolve_heads(recipe, store, ("blank", "Reh")).notes == resolve_heads(recipe, store).notes == []
    _with_classifier(store, "efficientnet_lite0")
    (note,) = resolve_heads(recipe, store, ("blank", "lion", "bear", "Reh")).notes
    assert note.endswith("speaks for 'lion' (lion), 'bear' (brown bear and 3 more); it knows nothing of 'Reh'")
    (note,) = resolve_heads(recipe, store, ("blank", "Reh")).notes
    assert "knows none by name, such as 'Reh'; the setting `names`" in note
    assert resolve_heads(recipe, store, ("blank",)).notes == []


def test_names_of_classes_that_nothing_is_labelled_are_told(tmp_path: Path) -> None:
    store = make_store(tmp_path, np.ones((3, 2), np.uint8))
    recipe = Recipe(heads=(HeadConfig(kind="discriminant", named=True, names={"daer": ("hartebeest",)}),))
    (note,) = resolve_heads(recipe, store, ("blank", "deer")).notes
    assert note == "`names` says what 'daer' means, and no clip is labelled so; did you mean 'deer'?"


def test_the_networks_whose_own_last_layer_is_kept_are_those_of_the_registry() -> None:
    assert {name for name, row in BACKBONES.items() if row.classifier} == WITH_CLASSIFIER
