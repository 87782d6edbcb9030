"""The animals among ImageNet's classes, and which of them the name of a class of labels means.

A network that was trained on ImageNet has seen hundreds of pictures of a chimpanzee and of a lion. Where labels speak
of the same animals, what the network takes a picture for says something before any clip is labelled.

A name is looked for as it stands ("African elephant"), then by its last words ("forest buffalo" is a buffalo, "roe
deer" a deer), then as a scientific name, by species and by genus. Animals that ImageNet has no class of stand for those
that look most like them (a deer for antelopes); a giraffe or a raccoon for none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

# By their numbers, 0 to 397: the classes that are animals are the first ones.
# Source: Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", arXiv:1409.0575, 2012's classes.
ANIMALS: tuple[str, ...] = tuple(
    re.split(
        r",\s+",
        """tench, goldfish, great white shark, tiger shark, hammerhead, electric ray, stingray, cock, hen, ostrich,
    brambling, goldfinch, house finch, junco, indigo bunting, robin, bulbul, jay, magpie, chickadee, water ouzel, kite,
    bald eagle, vulture, great grey owl, fire salamander, common newt, eft, spotted salamander, axolotl, bullfrog,
    tree frog, tailed frog, loggerhead, leatherback turtle, mud turtle, terrapin, box turtle, banded gecko,
    common iguana, American chameleon, whiptail, agama, frilled lizard, alligator lizard, Gila monster, green lizard,
    African chameleon, Komodo dragon, African crocodile, American alligator, triceratops, thunder snake,
    ringneck snake, hognose snake, green snake, king snake, garter snake, water snake, vine snake, night snake,
    boa constrictor, rock python, Indian cobra, green mamba, sea snake, horned viper, diamondback, sidewinder,
    trilobite, harvestman, scorpion, black and gold garden spider, barn spider, garden spider, black widow, tarantula,
    wolf spider, tick, centipede, black grouse, ptarmigan, ruffed grouse, prairie chicken, peacock, quail, partridge,
    African grey, macaw, cockatoo, lorikeet, coucal, bee eater, hornbill, hummingbird, jacamar, toucan, drake,
    merganser, goose, black swan, tusker, echidna, platypus, wallaby, koala, wombat, jellyfish, sea anemone,
    brain coral, flatworm, nematode, conch, snail, slug, sea slug, chiton, nautilus, Dungeness crab, rock crab,
    fiddler crab, king crab, American lobster, spiny lobster, crayfish, hermit crab, isopod, white stork, black stork,
    spoonbill, flamingo, little blue heron, American egret, bittern, crane, limpkin, gallinule, coot, bustard,
    turnstone, sandpiper, redshank, dowitcher, oystercatcher, pelican, king penguin, albatross, grey whale,
    killer whale, dugong, sea lion, Chihuahua, Japanese spaniel, Maltese dog, Pekinese, Shih-Tzu, Blenheim spaniel,
    papillon, toy terrier, Rhodesian ridgeback, Afghan hound, basset, beagle, bloodhound, bluetick,
    black-and-tan coonhound, Walker hound, English foxhound, redbone, borzoi, Irish wolfhound, Italian greyhound,
    whippet, Ibizan hound, Norwegian elkhound, otterhound, Saluki, Scottish deerhound, Weimaraner,
    Staffordshire bullterrier, American Staffordshire terrier, Bedlington terrier, Border terrier, Kerry blue terrier,
    Irish terrier, Norfolk terrier, Norwich terrier, Yorkshire terrier, wire-haired fox terrier, Lakeland terrier,
    Sealyham terrier, Airedale, cairn, Australian terrier, Dandie Dinmont, Boston bull, miniature schnauzer,
    giant schnauzer, standard schnauzer, Scotch terrier, Tibetan terrier, silky terrier, wheaten terrier,
    West Highland terrier, Lhasa, flat-coated retriever, curly-coated retriever, golden retriever, Labrador retriever,
    Chesapeake Bay retriever, German pointer, vizsla, English setter, Irish setter, Gordon setter, Brittany spaniel,
    clumber, English springer, Welsh springer spaniel, cocker spaniel, Sussex spaniel, Irish water spaniel, kuvasz,
    schipperke, groenendael, malinois, briard, kelpie, komondor, Old English sheepdog, Shetland sheepdog, collie,
    Border collie, Bouvier des Flandres, Rottweiler, German shepherd, Doberman, miniature pinscher,
    Swiss mountain dog, Bernese mountain dog, Appenzeller, Entlebucher, boxer, bull mastiff, Tibetan mastiff,
    French bulldog, Great Dane, Saint Bernard, Eskimo dog, malamute, Siberian husky, dalmatian, affenpinscher, basenji,
    pug, Leonberg, Newfoundland, Great Pyrenees, Samoyed, Pomeranian, chow, keeshond, Brabant griffon, Pembroke,
    Cardigan, toy poodle, miniature poodle, standard poodle, Mexican hairless, timber wolf, white wolf, red wolf,
    coyote, dingo, dhole, African hunting dog, hyena, red fox, kit fox, Arctic fox, grey fox, tabby, tiger cat,
    Persian cat, Siamese cat, Egyptian cat, cougar, lynx, leopard, snow leopard, jaguar, lion, tiger, cheetah,
    brown bear, American black bear, ice bear, sloth bear, mongoose, meerkat, tiger beetle, ladybird, ground beetle,
    longhorn beetle, leaf beetle, dung beetle, rhinoceros beetle, weevil, fly, bee, ant, grasshopper, cricket,
    stick insect, cockroach, mantis, cicada, leafhopper, lacewing, dragonfly, damselfly, admiral, ringlet, monarch,
    cabbage butterfly, sulphur butterfly, lycaenid, starfish, sea urchin, sea cucumber, wood rabbit, hare, Angora,
    hamster, porcupine, fox squirrel, marmot, beaver, guinea pig, sorrel, zebra, hog, wild boar, warthog,
    hippopotamus, ox, water buffalo, bison, ram, bighorn, ibex, hartebeest, impala, gazelle, dromedary, llama, weasel,
    mink, polecat, black-footed ferret, otter, skunk, badger, armadillo, three-toed sloth, orangutan, gorilla,
    chimpanzee, gibbon, siamang, guenon, patas, baboon, macaque, langur, colobus, proboscis monkey, marmoset, capuchin,
    howler monkey, titi, spider monkey, squirrel monkey, ring-tailed lemur, indri, Indian elephant, African elephant,
    red panda, giant panda, barracouta, eel, coho, rock beauty, clownfish, sturgeon, gar, lionfish, puffer""",
    )
)

# Wider names, and other ones, and the classes that they mean: numbers, or the first and last of a run.
_WIDER: dict[str, str] = {
    "bird": "7-24 80-100 127-146",
    "songbird, passerine": "10-20",
    "finch": "10-14",
    "crow, raven, corvid": "17-18",
    "raptor": "21-24",
    "bird of prey": "21-24",
    "eagle, hawk, buzzard, falcon": "21-22",
    "owl": "24",
    "chicken": "7-8",
    "galliform, gamebird": "80-86",
    "grouse": "80-83",
    "turkey, guineafowl, guinea fowl, pheasant": "7-8 80-86",
    "francolin, spurfowl": "85-86",
    "parrot": "87-90",
    "duck": "97-99",
    "waterfowl": "97-100",
    "swan": "100",
    "stork": "127-128",
    "heron, egret": "131-133",
    "wader, shorebird": "139-143",
    "penguin": "145",
    "fish": "0-6 389-397",
    "shark": "2-4",
    "amphibian": "25-32",
    "salamander, newt": "25-29",
    "frog, toad": "30-32",
    "reptile": "33-50 52-68",
    "turtle, tortoise": "33-37",
    "lizard": "38-48",
    "monitor lizard": "44 46 48",
    "gecko": "38",
    "iguana": "39",
    "chameleon": "40 47",
    "crocodile, alligator, caiman, crocodilian": "49-50",
    "snake": "52-68",
    "python, boa": "61-62",
    "viper": "66-68",
    "spider": "72-77",
    "arachnid": "70-78",
    "crab": "118-121 125",
    "insect": "300-326",
    "beetle": "300-307",
    "butterfly, moth": "321-326",
    "invertebrate": "70-79 107-126 300-329",
    "kangaroo, wallaby": "104",
    "marsupial": "104-106",
    "whale": "147-148",
    "seal": "150",
    "dog, domestic dog": "151-268",
    "sheepdog": "229-232",
    "wolf": "269-271",
    "grey wolf": "269-271",
    "canid": "269-280",
    "wild dog": "273-275",
    "jackal": "272 278 280",
    "hyaena": "276",
    "fox": "277-280",
    "swift fox": "278",
    "cat, domestic cat, house cat": "281-285",
    "wildcat, serval, ocelot, margay, caracal": "281-285 287",
    "small cat": "281-287",
    "bobcat": "287",
    "puma, panther": "286",
    "mountain lion": "286",
    "big cat": "286-293",
    "felid": "281-293",
    "bear": "294-297",
    "grizzly": "294",
    "black bear": "295",
    "polar bear": "296",
    "rabbit, cottontail": "330-332",
    "jackrabbit": "331",
    "lagomorph": "330-332",
    "rodent": "333-338",
    "mouse, rat, vole, gerbil": "333",
    "squirrel, chipmunk": "335",
    "horse, pony": "339",
    "donkey, mule": "339-340",
    "equid": "339-340",
    "pig, boar, hog, swine, suid, bushpig, peccary, javelina": "341-343",
    "hippo": "344",
    "cow, cattle, bull, calf": "345",
    "buffalo": "346",
    "american bison": "347",
    "sheep, mouflon": "348-349",
    "goat, chamois": "350",
    "antelope": "351-353",
    "duiker, bushbuck, kudu, eland, waterbuck, sitatunga, bongo, oryx": "351-353",
    "springbok, reedbuck, kob, nyala, dikdik, steenbok": "351-353",
    "sea cow, manatee": "149",
    "groundhog, woodchuck, ground hog": "336",
    "koala bear": "105",
    "wild dog jackal": "272-275 278 280",
    "prosimian": "383-384",
    "monkey prosimian": "370-384",
    "moose, hedge hog, sea horse": "",
    "prairie dog": "336",
    "raccoon dog": "277-280",
    "flying fox": "",
    "deer, muntjac, elk, wapiti, caribou, reindeer, chital, sambar": "351-353",
    "ungulate": "339-355",
    "camel": "354",
    "alpaca, guanaco, vicuna, camelid": "355",
    "mustelid": "356-362",
    "stoat, marten, ermine, fisher": "356-359",
    "ferret": "358-359",
    "pangolin": "363",
    "sloth": "364",
    "primate": "365-384",
    "ape": "365-369",
    "great ape": "365-367",
    "chimp, bonobo": "367",
    "monkey": "370-382",
    "mangabey, vervet": "370",
    "mandrill": "372",
    "lemur": "383-384",
    "elephant": "101 385-386",
    "panda": "388",
}
# Scientific names, genera and species, by the names above; "" for one that is not what its genus is.
_SCIENTIFIC: dict[str, str] = {
    "acinonyx": "cheetah",
    "alces": "",
    "bison": "bison",
    "bos": "cattle",
    "canis": "canid",
    "canis familiaris": "dog",
    "canis latrans": "coyote",
    "canis lupus": "wolf",
    "canis lupus familiaris": "dog",
    "capra": "goat",
    "capreolus": "deer",
    "castor": "beaver",
    "cephalophus": "duiker",
    "cervus": "deer",
    "colobus": "colobus",
    "crocuta": "hyena",
    "dama": "deer",
    "dasypus": "armadillo",
    "elephas": "Indian elephant",
    "equus": "equid",
    "equus caballus": "horse",
    "equus quagga": "zebra",
    "erethizon": "porcupine",
    "felis": "cat",
    "gallus": "chicken",
    "gorilla": "gorilla",
    "hippopotamus": "hippopotamus",
    "hyaena": "hyena",
    "hystrix": "porcupine",
    "lepus": "hare",
    "leopardus": "ocelot",
    "lontra": "otter",
    "loxodonta": "African elephant",
    "lutra": "otter",
    "lycaon": "African hunting dog",
    "lynx": "lynx",
    "macaca": "macaque",
    "marmota": "marmot",
    "martes": "marten",
    "meleagris": "turkey",
    "meles": "badger",
    "mephitis": "skunk",
    "muntiacus": "deer",
    "mustela": "weasel",
    "numida": "guineafowl",
    "odocoileus": "deer",
    "oryctolagus": "rabbit",
    "ovis": "sheep",
    "pan": "chimpanzee",
    "panthera leo": "lion",
    "panthera onca": "jaguar",
    "panthera pardus": "leopard",
    "panthera tigris": "tiger",
    "panthera uncia": "snow leopard",
    "papio": "baboon",
    "pecari": "pig",
    "phacochoerus": "warthog",
    "phasianus": "pheasant",
    "philantomba": "duiker",
    "pongo": "orangutan",
    "potamochoerus": "pig",
    "puma": "cougar",
    "sciurus": "squirrel",
    "sus": "pig",
    "sylvilagus": "rabbit",
    "syncerus": "buffalo",
    "taxidea": "badger",
    "tragelaphus": "antelope",
    "urocyon": "grey fox",
    "ursus": "bear",
    "ursus americanus": "American black bear",
    "ursus arctos": "brown bear",
    "ursus maritimus": "ice bear",
    "vulpes": "fox",
    "vulpes vulpes": "red fox",
}

# What a class of labels is called when it means anything but an animal that is known.
_NO_ANIMAL = frozenset(
    re.findall(
        r"\w+",
        "non not no other unknown unidentified unidentifiable unid blank empty nothing none "
        "human person people hunter rider walker vehicle car bike",
    )
)
# What is said of an animal behind its name.
_SAID_OF = frozenset(
    re.findall(
        r"\w+",
        "male female adult subadult juvenile young immature infant baby cub calf fawn kid lamb foal pup kit chick bull "
        "cow buck doe stag hind hen boar sow ram ewe domestic wild group herd pair spp sp species",
    )
)
_LAST_WORDS = 3


def named_animals(
    classes: Sequence[str], exceptions: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[int, ...]]:
    """Which of `ANIMALS` each class of labels means, by number, rising; classes that mean none are left out.

    Args:
        classes: as labels call them, in any spelling: `small_cat`, "Pan troglodytes", "wild dog / jackal".
        exceptions: names, of animals or wider, of classes that are called otherwise; none for one that means none.

    Raises:
        ValueError: a name among the exceptions means no animal.
    """
    told = {name: list(names) for name, names in (exceptions or {}).items()}
    for name, names in told.items():
        unknown = [each for each in names if not _meant(each)]
        if unknown:
            raise ValueError(
                f"'{unknown[0]}', for class '{name}', is no animal that ImageNet's classes know; see docs/networks.md"
            )
    found = {name: sorted({number for each in told.get(name, [name]) for number in _meant(each)}) for name in classes}
    return {name: tuple(numbers) for name, numbers in found.items() if numbers}


def _meant(name: str) -> frozenset[int]:
    """The classes that a name means: none if it is not known."""
    spelt = re.sub(r"\bgray\b", "grey", name.casefold().replace("_", " "))
    whole = " ".join(_words(spelt))
    if whole in _names():
        return _names()[whole]
    aside = re.fullmatch(r"([^()]+)\(([^()]+)\)", spelt.strip())
    if aside and (found := _meant_by_one(_words(f"{aside[2]} {aside[1]}"))):  # fox (red)
        return found
    parts = re.split(r"[/,;|]|\bor\b|\band\b", spelt)
    return frozenset(number for part in parts for number in _meant_by_one(_words(part)))


def _meant_by_one(words: Sequence[str]) -> frozenset[int]:
    if _NO_ANIMAL.intersection(words):
        return frozenset()
    names, before = _names(), words[:-1]
    if before and words[-1] in _SAID_OF and " ".join(words) not in names:  # an elephant calf, a moose cow
        found = _meant_by_one(before)
        if found or " ".join(before) in names:
            return found
    for length in range(len(words), 0, -1):  # all words, then the last ones
        if length == len(words) or length < _LAST_WORDS:
            for spelt in _singulars(" ".join(words[-length:])):
                if spelt in names:
                    return names[spelt]
    for length in range(len(words), 0, -1):  # a species, then its genus
        first = " ".join(words[:length])
        if first in _SCIENTIFIC:
            return _meant(_SCIENTIFIC[first])
    return frozenset()


@cache
def _names() -> dict[str, frozenset[int]]:
    """Every English name, in small letters without hyphens, with the classes that it means."""
    found = {" ".join(_words(name.casefold())): {number} for number, name in enumerate(ANIMALS)}
    for names, runs in _WIDER.items():
        numbers = {number for run in runs.split() for number in _run(run)}
        found |= dict.fromkeys(names.split(", "), numbers)
    return {name: frozenset(numbers) for name, numbers in found.items()}


def _run(words: str) -> range:
    first, _, last = words.partition("-")
    return range(int(first), int(last or first) + 1)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", name)


def _singulars(name: str) -> Iterator[str]:
    """The name as it is, and what it may be the plural of."""
    yield name
    for many, one in (("mice", "mouse"), ("wolves", "wolf"), ("geese", "goose"), ("calves", "calf"), ("oxen", "ox")):
        if name.endswith(many):
            yield name.removesuffix(many) + one
    for many, one in (("ies", "y"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if name.endswith(many) and not name.endswith("ss"):
            yield name.removesuffix(many) + one
