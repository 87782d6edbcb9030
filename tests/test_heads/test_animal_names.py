"""The animals that networks know by name, and what the names of labels mean of them."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from heads.data import animal_names
from heads.data.animal_names import ANIMALS, named_animals
from heads.recipe import HeadConfig, load_recipe
from store.errors import ConfigError

# By their numbers among ImageNet's thousand classes, from lists other than that of the module.
ANCHORS = {
    0: "tench",
    7: "cock",
    9: "ostrich",
    23: "vulture",
    51: "triceratops",
    76: "tarantula",
    101: "tusker",
    105: "koala",
    144: "pelican",
    151: "Chihuahua",
    207: "golden retriever",
    235: "German shepherd",
    268: "Mexican hairless",
    269: "timber wolf",
    275: "African hunting dog",
    276: "hyena",
    277: "red fox",
    285: "Egyptian cat",
    288: "leopard",
    291: "lion",
    292: "tiger",
    293: "cheetah",
    294: "brown bear",
    299: "meerkat",
    323: "monarch",
    330: "wood rabbit",
    334: "porcupine",
    340: "zebra",
    342: "wild boar",
    344: "hippopotamus",
    346: "water buffalo",
    353: "gazelle",
    360: "otter",
    363: "armadillo",
    366: "gorilla",
    367: "chimpanzee",
    372: "baboon",
    383: "ring-tailed lemur",
    386: "African elephant",
    388: "giant panda",
    397: "puffer",
}


def meant(name: str) -> set[str]:
    return {ANIMALS[number] for number in named_animals([name]).get(name, ())}


def test_there_are_398_names_and_no_two_are_alike() -> None:
    assert len(ANIMALS) == 398
    assert len({name.casefold().replace("-", " ") for name in ANIMALS}) == 398
    assert all(name == " ".join(name.split()) != "" for name in ANIMALS)


def test_each_stands_at_its_number() -> None:
    assert {number: ANIMALS[number] for number in ANCHORS} == ANCHORS


@pytest.mark.parametrize("spell", [str, str.upper, lambda name: name.replace(" ", "_").replace("-", "_")])
def test_an_animal_s_own_name_means_it(spell: Callable[[str], str]) -> None:
    """But for a hog, which labels call any pig."""
    missed = {name: meant(spell(name)) for name in ANIMALS if meant(spell(name)) != {name}}
    assert missed == {"hog": {"hog", "wild boar", "warthog"}}


def test_wider_names_mean_classes_that_there_are() -> None:
    for names, runs in animal_names._WIDER.items():
        numbers = {number for run in runs.split() for number in animal_names._run(run)}
        assert numbers <= set(range(398)), names
        assert all(len(animal_names._run(run)) > 0 for run in runs.split()), names
        for name in names.split(", "):
            assert set(named_animals([name]).get(name, ())) == numbers, name


def test_no_wider_name_is_given_twice() -> None:
    names = [name for names in animal_names._WIDER for name in names.split(", ")]
    assert len(names) == len(set(names))


def test_scientific_names_mean_what_their_english_ones_do() -> None:
    for scientific, english in animal_names._SCIENTIFIC.items():
        assert meant(scientific) == meant(scientific.capitalize().replace(" ", "_")) == meant(english), scientific
        assert bool(meant(scientific)) == bool(english), scientific


@pytest.mark.parametrize(
    ("name", "animals"),
    [
        ("chimpanzee", {"chimpanzee"}),
        ("Chimps", {"chimpanzee"}),
        ("african_elephant", {"African elephant"}),
        ("Elephants", {"tusker", "Indian elephant", "African elephant"}),
        ("forest buffalo", {"water buffalo"}),
        ("white-tailed deer", {"hartebeest", "impala", "gazelle"}),
        ("small_antelope", {"hartebeest", "impala", "gazelle"}),
        ("african_wild_dog", {"dingo", "dhole", "African hunting dog"}),
        ("wild dog / jackal", {"dingo", "dhole", "African hunting dog", "coyote", "kit fox", "grey fox"}),
        ("fox or jackal", {"coyote", "red fox", "kit fox", "Arctic fox", "grey fox"}),
        ("fox_or_jackal", {"coyote", "red fox", "kit fox", "Arctic fox", "grey fox"}),
        ("leopards and lions", {"leopard", "lion"}),
        ("great apes", {"orangutan", "gorilla", "chimpanzee"}),
        ("mountain lion", {"cougar"}),
        ("sea lion", {"sea lion"}),
        ("prairie dog", {"marmot"}),
        ("gray wolf", {"timber wolf", "white wolf", "red wolf"}),
        ("Gray Fox", {"grey fox"}),
        ("gray squirrel", {"fox squirrel"}),
        ("striped hyaena", {"hyena"}),
        ("wolves", {"timber wolf", "white wolf", "red wolf"}),
        ("mice", {"hamster"}),
        ("oxen", {"ox"}),
        ("calves", {"ox"}),
        ("geese", {"goose"}),
        ("magpies", {"magpie"}),
        ("ponies", {"sorrel"}),
        ("grizzlies", {"brown bear"}),
        ("ostriches", {"ostrich"}),
        ("lynxes", {"lynx"}),
        ("Pan troglodytes", {"chimpanzee"}),
        ("pan_troglodytes_verus", {"chimpanzee"}),
        ("Panthera leo", {"lion"}),
        ("Canis lupus", {"timber wolf", "white wolf", "red wolf"}),
        ("Equus quagga", {"zebra"}),
        ("Equus grevyi", {"sorrel", "zebra"}),
        ("Vulpes lagopus", {"red fox", "kit fox", "Arctic fox", "grey fox"}),
        ("Sus scrofa", {"hog", "wild boar", "warthog"}),
        ("Fox (red)", {"red fox"}),
        ("lion_male", {"lion"}),
        ("White-tailed_Deer_Female", {"hartebeest", "impala", "gazelle"}),
        ("elephant calf", {"tusker", "Indian elephant", "African elephant"}),
        ("dairy cow", {"ox"}),
        ("wild boar", {"wild boar"}),
        ("turkey hen", {ANIMALS[number] for number in (7, 8, *range(80, 87))}),
        ("wild_dog_jackal", {"dingo", "dhole", "African hunting dog", "coyote", "kit fox", "grey fox"}),
    ],
)
def test_names_as_people_write_them(name: str, animals: set[str]) -> None:
    assert meant(name) == animals


@pytest.mark.parametrize(
    "name",
    [
        *("human", "person", "Homo sapiens", "blank", "empty", "nothing", "no animal", "vehicle", ""),
        *("raccoon", "crab-eating raccoon", "giraffe", "Giraffa camelopardalis", "moose", "Alces alces", "flying fox"),
        *("other (primate)", "other (non-primate)", "other_bird", "unknown deer", "unidentified bird", "non-human ape"),
        *("lioness", "12", "catering", "moss"),
        *("moose_cow", "moose calf", "person with dog", "horse rider", "sea horse", "hedge hog", "unid. bird"),
    ],
)
def test_other_names_mean_none(name: str) -> None:
    assert named_animals([name]) == {}


def test_a_domestic_dog_is_any_breed_and_no_wolf() -> None:
    dogs = meant("dog")
    assert dogs == meant("Canis lupus familiaris") == meant("domestic_dog")
    assert len(dogs) == 118
    assert {"Chihuahua", "Mexican hairless"} <= dogs
    assert not dogs & (meant("wolf") | meant("wild dog") | meant("fox"))


def test_numbers_rise_and_classes_that_mean_none_are_left_out() -> None:
    found = named_animals(["blank", "elephant", "human", "lion", "giraffe"])
    assert found == {"elephant": (101, 385, 386), "lion": (291,)}
    assert list(found) == ["elephant", "lion"]
    assert named_animals([]) == {}


def test_exceptions_say_what_is_meant() -> None:
    classes = ["giraffe", "lion", "species 7", "hog"]
    exceptions = {"giraffe": ["zebra", "antelope"], "lion": [], "species 7": ["Panthera pardus"], "tiger": ["lion"]}
    assert named_animals(classes, exceptions) == {
        "giraffe": (340, 351, 352, 353),
        "species 7": (288,),
        "hog": (341, 342, 343),
    }


UNKNOWN = "'unicorn', for class 'giraffe', is no animal that ImageNet's classes know; see docs/networks.md"


def test_an_exception_that_is_no_animal_is_one_sentence(tmp_path: Path) -> None:
    """Of the function, of settings and of a recipe; also where no clip has that class."""
    with pytest.raises(ValueError, match=UNKNOWN):
        named_animals((), {"lion": ["lion"], "giraffe": ["zebra", "unicorn"]})
    with pytest.raises(ValidationError, match=f"names: {UNKNOWN}"):
        HeadConfig(kind="deviation", named=True, names={"giraffe": ("unicorn",)})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("heads: [{kind: deviation, named: true, names: {giraffe: [unicorn]}}]")
    with pytest.raises(ConfigError, match=UNKNOWN) as raised:
        load_recipe(recipe)
    assert "\n" not in str(raised.value)


def test_exceptions_are_refused_where_nothing_is_asked() -> None:
    with pytest.raises(ValidationError, match="names: they are of use only where `named` is true"):
        HeadConfig(kind="deviation", names={"giraffe": ("zebra",)})
    with pytest.raises(ValidationError, match="named: a head of kind gru has no use for it"):
        HeadConfig(kind="gru", named=True)


def test_settings_with_exceptions_are_written_and_read_back() -> None:
    given = HeadConfig(kind="discriminant", named=True, names={"giraffe": ("zebra", "antelope"), "lion": ()})
    assert HeadConfig.model_validate_json(given.model_dump_json()) == given
    assert given.inputs == (*given.statistics, "animals")
    assert "animals" not in HeadConfig(kind="discriminant").inputs


def test_exceptions_are_of_a_class_in_either_spelling() -> None:
    names = {unicodedata.normalize("NFD", "Céphalophe"): ("duiker",)}
    assert HeadConfig(kind="discriminant", named=True, names=names).names == {"Céphalophe": ("duiker",)}
