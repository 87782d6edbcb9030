"""Recipes: what `heads train` trains, as strict YAML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from heads.data.animal_names import named_animals
from heads.data.class_names import read_class
from heads.data.features.batches import PREDICT_CLIPS
from heads.data.features.statistics import InputName, StatisticName
from heads.recipe.kinds import HEAD_KINDS, HeadKind
from store.config import StrictModel, load_yaml, parse_settings
from store.errors import ConfigError

_FACTS = Literal[
    "frame_size",
    "size_bytes",
    "bit_rate",
    "duration_s",
    "fps",
    "brightness_mean",
    "brightness_std",
    "saturation_mean",
    "infrared_share",
    "motion_mean",
]
DEFAULT_METADATA: tuple[_FACTS, ...] = (
    "frame_size",
    "size_bytes",
    "bit_rate",
    "brightness_mean",
    "brightness_std",
    "saturation_mean",
    "infrared_share",
    "motion_mean",
)
EACH_SOURCE: Literal["each"] = "each"
_SEEDS = 2**31 - 100_000
_MOST_PIXELS = 1 << 23


def _known_kind(kind: str) -> str:
    if kind not in HEAD_KINDS:
        raise ValueError(f"there is no such kind of head; choose one of {', '.join(HEAD_KINDS)}")
    return kind


class HeadConfig(StrictModel):
    """One kind of head, trained once for each of its sources, or once for all of them side by side.

    Attributes:
        kind: the architecture (see `heads.models.networks` and `heads.models.kinds`): `attention` and `recurrent` as
            published, `deviation`, `discriminant`, which is fitted in one step and takes few of the settings, `conv3d`
            and `lrcn`, which learn from pixels, `finetuned`, which tunes a network that was trained before, `gru`, one
            recurrent layer over the frames as they come, or `conv1d`, which learns from sound.
        name: what the head is called, before the name of its source; its kind if not given.
        sources: `each` for every source in the store, or a list of them (`backbone` or `backbone+view`).
        without: sources that `each` leaves out.
        view: the view that `each` is limited to, where a head suits only one; None for all.
        joined: whether one head sees all its sources side by side, instead of one head a source.
        taps: the taps of its sources that it sees, by name, in that order; all if none is named. `each` then means the
            sources that have them.
        classes: the classes that it tells apart; all of the labels if none is named.
        statistics: statistics over time that the head sees, in which nothing is learned (see
            `heads.data.features.statistics`).
        named: whether what the network itself takes a clip for speaks for the classes of those names, where its last
            layer is kept beside its features and labels name animals that it knows (see `heads.data.animal_names`).
        names: of classes that labels call otherwise, the animals that are meant; none for a class for which it is not
            to speak.
        covariance_shrinkage: how far the covariance within classes is drawn towards that of independent columns of
            equal spread, under `discriminant`; 0 not at all, 1 all the way.
        queries: learned attention queries; 0 for a head that does not look at single frames (under `deviation`).
        recurrent_units: width of each of the two recurrent layers, under `recurrent`, or of the one, under `lrcn` and
            `gru`.
        recurrent_dropout: share of what a recurrent layer remembers that is dropped from frame to frame, the same at
            each frame of a clip.
        window: share of a clip's frames, one after the other, that is learned from at a time, anywhere in the clip;
            answers come from the whole clip, since a recurrent layer reads clips of any length.
        metadata: clip facts that the head sees beside the features; none for an empty list.
        dense_units: widths of the dense layers after pooling.
        metadata_units: widths of the dense layers over the metadata; none to take the facts as they are.
        dropout: share of activations dropped before (and, unless under `deviation`, between) the dense layers.
        few_clips: up to how many training clips `dropout` is what it says; beyond, it falls with the fifth root of
            their number, since many clips need less of it. 0 for never.
        many_clips: up to how many training clips `epochs` and `batch_clips` are what they say; beyond, there are fewer
            epochs of larger batches, by the power 2/3 of how many times more clips there are, but no fewer than three
            epochs: a pass over many clips teaches what several over few do. 0 for never.
        dense_dropout: share dropped after each dense layer, under `deviation`.
        tap_dropout: share of whole taps dropped, under `deviation`, from every statistic at once.
        frame_dropout: share of what is known of each frame that is dropped before the recurrent layers.
        clip_frames: how many pictures of a clip are seen: evenly spaced ones of those that the store holds. A clip that
            has fewer is shown as it is, with a mask.
        clip_px: side of the squares that pictures are brought to.
        crop_frames: how many of them, one after the other, are learned from at a time; answers come from the middle
            ones. Under `conv1d` so many pieces of sound, each 4,096 samples long.
        crop_px: side of what is cut out of them, in training anywhere, otherwise in the middle.
        colour_shift: by how many grey levels red, green and blue are shifted at most in training.
        filters: filters of the convolutions of each block; there are as many blocks.
        network: what is tuned: the name of a network that `featurize weights NAME` has made the file of, or a `.keras`
            file of a functional model of Keras' usual layers, from pictures of grey levels 0 to 255 to maps or vectors.
        unfreeze_from: the layer of it from which on everything is tuned; if not given, the last third of those that
            have weights are.
        epochs: passes over the training clips.
        head_epochs: how many of the first epochs leave the network as it is and teach the output layer alone.
        head_rate: the step size in these.
        pseudo_epochs: further passes that learn from unlabelled clips too, where there are some.
        pseudo_clips: how many of a batch's clips are unlabelled in those passes.
        pseudo_weight: weight of an unlabelled clip in the loss, beside 1 for a labelled one.
        batch_clips: clips that a member learns from at a step.
        seeds: members for each fold that differ in their seed only; their logits are averaged.
        sgd_epochs: how many of the last epochs go down the gradient with Nesterov's momentum of 0.9, instead of Adam.
        learning_rate: the step size at the start.
        weight_decay: what is taken off the weights at each step, as a share of the step size.
        shrinkage: what weight decay alone would take off the weights over the whole training, as a natural logarithm,
            however many steps that has; so that a large table is not held back by what a small one needs.
        averaging: how much of the running average of the weights stays at each step; 0 for no average.
        mixup: how strongly clips are mixed in pairs in training (see `heads.trainers.mixup`); 0 for not at all.
        label_smoothing: how far labels are drawn towards the share of each class among the training clips.
        class_balance: how strongly rare classes are preferred (see `heads.data.class_balance`), 0 to 1; predictions are
            corrected for it.
        balance_by: whether clips of rare classes are drawn more often (`sampling`) or count more (`loss`); or whether
            the share `class_balance` of the draws draws a class first, seldom one of few clips (`classes`).
        competing: whether classes compete for a clip, as they do where most clips show one thing or nothing.
        start_at_prior: whether the untrained head already gives each class its share among the training clips.
        schedule: `plateau` follows the training loss, `cosine` falls to nothing over the epochs.
        plateau_factor: what the step size is multiplied by when the training loss stops falling.
        plateau_epochs: epochs without a lower training loss before that.
        least_learning_rate: `plateau` never goes below this step size.

    Example:
        >>> HeadConfig(kind="deviation", queries=0, epochs=20).sees_frames
        False
        >>> HeadConfig(kind="discriminant").passes
        1
    """

    kind: Annotated[str, AfterValidator(_known_kind)] = "attention"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]*$")] = ""
    sources: Literal["each"] | Annotated[tuple[str, ...], Field(min_length=1)] = EACH_SOURCE
    without: tuple[str, ...] = ()
    view: str | None = None
    joined: bool = False
    taps: tuple[str, ...] = ()
    classes: tuple[Annotated[str, AfterValidator(read_class)], ...] = ()
    statistics: tuple[StatisticName, ...] = ("change",)
    named: bool = False
    names: Mapping[Annotated[str, AfterValidator(read_class)], tuple[str, ...]] = {}
    covariance_shrinkage: Annotated[float, Field(gt=0, le=1)] = 0.9
    queries: Annotated[int, Field(ge=0, le=64)] = 1
    recurrent_units: Annotated[int, Field(ge=1)] = 512
    recurrent_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    window: Annotated[float, Field(gt=0, le=1)] = 1.0
    metadata: tuple[_FACTS, ...] = DEFAULT_METADATA
    dense_units: tuple[int, ...] = (1024, 1024)
    metadata_units: tuple[int, ...] = (128, 128)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.25
    few_clips: Annotated[int, Field(ge=0)] = 0
    many_clips: Annotated[int, Field(ge=0)] = 0
    dense_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    tap_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    frame_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.15
    clip_frames: Annotated[int, Field(ge=1, le=512)] = 30
    clip_px: Annotated[int, Field(ge=16, le=512)] = 64
    crop_frames: Annotated[int, Field(ge=1)] = 24
    crop_px: Annotated[int, Field(ge=8)] = 56
    colour_shift: Annotated[float, Field(ge=0, le=128)] = 3.0
    filters: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1, max_length=5)] = (16, 32, 64)
    network: str = ""
    unfreeze_from: str = ""
    epochs: Annotated[int, Field(ge=1)] = 15
    head_epochs: Annotated[int, Field(ge=0)] = 0
    head_rate: Annotated[float, Field(gt=0)] = 1e-3
    pseudo_epochs: Annotated[int, Field(ge=0)] = 0
    pseudo_clips: Annotated[int, Field(ge=1)] = 20
    pseudo_weight: Annotated[float, Field(gt=0)] = 1.0
    batch_clips: Annotated[int, Field(ge=2)] = 64
    seeds: Annotated[int, Field(ge=1, le=32)] = 1
    sgd_epochs: Annotated[int, Field(ge=0)] = 0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    shrinkage: Annotated[float, Field(ge=0)] = 0.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0, le=8)] = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    balance_by: Literal["sampling", "loss", "classes"] = "sampling"
    competing: bool = False
    start_at_prior: bool = False
    schedule: Literal["plateau", "cosine"] = "plateau"
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.7
    plateau_epochs: Annotated[int, Field(ge=1)] = 2
    least_learning_rate: Annotated[float, Field(gt=0)] = 1e-4

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        row = HEAD_KINDS[self.kind]
        for name, value in row.defaults.items():
            if name not in self.model_fields_set:
                object.__setattr__(self, name, value)
        problem = row.problem(self.kind, self)
        if problem:
            raise ValueError(problem)
        self._require_only_what_is_taken(row)
        if self.names and not self.named:
            raise ValueError("names: they are of use only where `named` is true")
        try:
            named_animals((), self.names)
        except ValueError as error:
            raise ValueError(f"names: {error}") from error
        if self.pseudo_epochs and self.pseudo_clips >= self.batch_clips:
            raise ValueError("pseudo_clips: a batch must hold labelled clips too; ask for fewer than batch_clips")
        if self.sgd_epochs > self.epochs:
            raise ValueError(f"sgd_epochs: they are the last of the epochs, of which there are {self.epochs}")
        if self.head_epochs > self.epochs:
            raise ValueError(f"head_epochs: they are the first of the epochs, of which there are {self.epochs}")
        if self.pseudo_epochs and self.class_balance:
            raise ValueError("class_balance: what unlabelled clips show is not known; ask for no pseudo_epochs")
        return self

    def _require_only_what_is_taken(self, row: HeadKind) -> None:
        for name, field in type(self).model_fields.items():
            if not row.takes(name) and getattr(self, name) != row.defaults.get(name, field.default):
                raise ValueError(f"{name}: a head of kind {self.kind} has no use for it; leave it out")

    @property
    def title(self) -> str:
        """What the head is called, without its source: its name, or else its kind."""
        return self.name or self.kind

    @property
    def traits(self) -> HeadKind:
        """What heads of this kind are, and ask for."""
        return HEAD_KINDS[self.kind]

    @property
    def takes_epochs(self) -> bool:
        """Whether the head is trained in epochs; if not, it is fitted in one step."""
        return self.traits.takes_epochs

    @property
    def passes(self) -> int:
        """How often progress on labelled clips is reported: after each epoch, or when the head is fitted."""
        return self.epochs if self.takes_epochs else 1

    @property
    def sees_frames(self) -> bool:
        """Whether single frames are read in training; if not, epochs read a row a clip and no more."""
        return self.traits.sees_frames(self)

    @property
    def clips_at_once(self) -> int:
        """How many clips a model is asked about at a time: fewer where these are many or large pictures."""
        if not self.traits.reads_pictures:
            return min(PREDICT_CLIPS, self.traits.at_once or PREDICT_CLIPS)
        return min(PREDICT_CLIPS, max(1, _MOST_PIXELS // (self.clip_frames * self.clip_px**2)))

    @property
    def weighs_frames(self) -> bool:
        """Whether the head has weights for single frames."""
        return self.sees_frames and self.traits.weighs_frames

    @property
    def tail_inputs(self) -> tuple[InputName, ...]:
        """The statistics that the network's tail takes: those of the recipe, and what the backbone takes clips for."""
        return (*self.statistics, *(("animals",) if self.named else ()))

    @property
    def inputs(self) -> tuple[InputName, ...]:
        """The statistics that the network takes, in order: those of its tail, and what its front needs besides."""
        return tuple(dict.fromkeys(self.tail_inputs + (self.traits.front_statistics if self.sees_frames else ())))


class Recipe(StrictModel):
    """What one run trains.

    Attributes:
        folds: number of cross-validation folds.
        seed: of folds, weights and shuffling, with room above it for the seeds of single members.
        heads: what is trained on each fold, one entry for each kind of head with its settings.
        made_for: the sources that the recipe was published for, if it was; only for telling which are missing.

    Example:
        >>> Recipe(folds=3, heads=(HeadConfig(kind="discriminant"),)).heads[0].competing
        True
    """

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    seed: Annotated[int, Field(ge=0, lt=_SEEDS)] = 0
    heads: Annotated[tuple[HeadConfig, ...], Field(min_length=1)] = (HeadConfig(),)
    made_for: tuple[str, ...] = ()


def load_recipe(path: Path | None) -> Recipe:
    """The recipe at `path`; the built-in `default.yaml` if None.

    Example:
        >>> [head.kind for head in load_recipe(None).heads][:1]
        ['deviation']

    Raises:
        ConfigError: the file is not a recipe.
    """
    return load_yaml(path or builtin_recipe("default"), Recipe)


def builtin_recipe(name: str) -> Path:
    """The path of a recipe that comes with Trapline: beside the package when installed, in `configs/` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "configs" / f"{name}.yaml"
    return installed if installed.exists() else package.parent / "configs" / f"{name}.yaml"


def adapt(recipe: Recipe, *, seed: int | None, no_metadata: bool, epochs: int | None = None) -> Recipe:
    """The recipe with what was asked for on the command line.

    Args:
        recipe: as it was written.
        seed: in place of the recipe's.
        no_metadata: no head is told facts about clips.
        epochs: the most that a head is trained for, 1 or more; those at its beginning and end that are of another kind
            are in proportion.

    Raises:
        ConfigError: the seed is out of range, or there are to be no epochs.
    """
    if seed is not None:
        recipe = parse_settings({**recipe.model_dump(mode="json"), "seed": seed}, Recipe, "--seed")
    if no_metadata:
        heads = tuple(head.model_copy(update={"metadata": ()}) for head in recipe.heads)
        recipe = recipe.model_copy(update={"heads": heads})
    if epochs is not None:
        if epochs < 1:
            raise ConfigError(f"epochs={epochs}: a head is trained for one epoch at least")
        recipe = recipe.model_copy(update={"heads": tuple(_shortened(head, epochs) for head in recipe.heads)})
    return recipe


def _shortened(head: HeadConfig, epochs: int) -> HeadConfig:
    if not head.takes_epochs or max(head.epochs, head.pseudo_epochs) <= epochs:
        return head
    share = min(1.0, epochs / head.epochs)
    return head.model_copy(
        update={
            "epochs": min(head.epochs, epochs),
            "head_epochs": min(head.head_epochs, max(1, round(head.head_epochs * share))),
            "pseudo_epochs": min(head.pseudo_epochs, epochs),
            "sgd_epochs": round(head.sgd_epochs * share),
        }
    )
