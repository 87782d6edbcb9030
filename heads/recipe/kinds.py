"""The kinds of heads there are, as one literal table: what each is made of, and what it asks of the recipe.

To add a kind, write a module with its front and its tail, and a row here; `docs/extending.md` shows one. Nothing else
asks what kind a head is: the recipe, the trainers and the explanations ask the row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, Protocol

from heads.data.features.statistics import StatisticName

GRADIENT = "heads.trainers.trainer:train_by_gradient"
CLOSED_FORM = "heads.trainers.discriminant:fit_discriminants"
_PUBLISHED_TAIL = "heads.models.networks:published_tail"
# Where the clips of heads come from, what they are called and for which classes: every kind takes these.
WHERE = frozenset({"kind", "name", "sources", "without", "view", "joined", "taps", "classes"})
# What is seen of the pictures of a clip, and how they are learned from.
PIXELS = frozenset(
    {
        *("clip_frames", "clip_px", "crop_frames", "crop_px", "colour_shift", "filters", "sgd_epochs"),
        *("network", "unfreeze_from", "head_epochs", "head_rate"),
    }
)
# Samples of a piece of sound, and of how many steps a block of convolutions makes one.
_PIECE, _POOL = 4096, 16
# What the network itself takes clips for.
NAMED = frozenset({"named", "names"})
# What recurrent layers do in training.
RECURRENT = frozenset({"recurrent_dropout", "window"})
_TUNING = frozenset({"clip_frames", "clip_px", "network", "unfreeze_from", "head_epochs", "head_rate"})
_LEARNING = frozenset(
    {
        "epochs",
        "batch_clips",
        "seeds",
        "learning_rate",
        "weight_decay",
        "averaging",
        "label_smoothing",
        "class_balance",
        "balance_by",
        "competing",
        "start_at_prior",
        "schedule",
        "plateau_factor",
        "plateau_epochs",
        "least_learning_rate",
    }
)
_ALONE = WHERE - {"joined", "taps"}
_OF_PIXELS = _ALONE | (PIXELS - _TUNING) | {"clip_frames", "clip_px"} | _LEARNING | {"dense_units", "dense_dropout"}


class Settings(Protocol):
    """What a row may look at of a head's settings; see `heads.recipe.HeadConfig`."""

    @property
    def queries(self) -> int: ...  # noqa: D102
    @property
    def statistics(self) -> tuple[StatisticName, ...]: ...  # noqa: D102
    @property
    def clip_frames(self) -> int: ...  # noqa: D102
    @property
    def clip_px(self) -> int: ...  # noqa: D102
    @property
    def crop_frames(self) -> int: ...  # noqa: D102
    @property
    def crop_px(self) -> int: ...  # noqa: D102
    @property
    def filters(self) -> tuple[int, ...]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class HeadKind:
    """What a kind of head is.

    Attributes:
        tail: `module:function` of (settings, inputs by name, shape) that gives what the output layer stands on, (B, P).
        front: `module:function` of (settings, D) that gives the layer, or the small network, that pools frames; "" for
            a kind that never sees frames.
        frames: whether single frames are read in training: always, if the recipe asks for attention queries, or never.
        front_statistics: statistics of the clip that the front takes behind `features` and `mask`. With `background`,
            frames are standardised by their deviations from it.
        reads_pictures: whether its frames are the pictures that are kept beside features, and not the features: then
            `features` is (B, T, H, W, 3) for the front, and `each` means the sources that hold pictures.
        reads_sound: whether its frames are pieces of sound, and not features: `each` then means the sources that hold
            these.
        at_once: how many clips it can be asked about at a time, where one takes a lot of memory; None for no limit.
        frame_by_frame: whether the output layer stands on each frame, and a clip is the mean of its frames: its front
            gives (B, T, P). It learns from one frame of a clip at a time, drawn where much moves.
        together: `module:function` of (fronts, inputs, rows, alike) that gives what the fronts of all members pool, for
            a kind whose members have something in common; "" to ask each by itself.
        scores_frames: whether it can be asked about a frame as if that were a clip.
        weighs_frames: whether the front is an `AttentionPooling`, or has one as its layer `attention`: its weights say
            which frames counted.
        standardises: whether the tail has a layer `standardise_<name>` for each statistic, which is given the moments
            of the training clips.
        batch_normalises: whether training needs two clips at least of every member in each batch.
        trainer: `module:function` that trains it over all folds, as `heads.trainers.task.Train` says.
        takes_epochs: whether it is trained in epochs; if not, it is fitted in one step.
        settings: the recipe's settings that it takes; any other must be left at its default, which may be the kind's
            own. None for all of them.
        refused: settings that it refuses, where it takes nearly all.
        defaults: its own defaults, where they differ from those of the recipe.
    """

    tail: str
    front: str = ""
    frames: Literal["always", "asked", "never"] = "never"
    front_statistics: tuple[StatisticName, ...] = ()
    reads_pictures: bool = False
    reads_sound: bool = False
    at_once: int | None = None
    frame_by_frame: bool = False
    together: str = ""
    scores_frames: bool = True
    weighs_frames: bool = False
    standardises: bool = False
    batch_normalises: bool = False
    trainer: str = GRADIENT
    takes_epochs: bool = True
    settings: frozenset[str] | None = None
    refused: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def sees_frames(self, settings: Settings) -> bool:
        """Whether a head of these settings reads single frames in training."""
        return self.frames == "always" or (self.frames == "asked" and settings.queries > 0)

    @property
    def content(self) -> Literal["features", "pictures", "sound"]:
        """What it learns from, as `store.FeatureKey.content` says it of a source."""
        if self.reads_pictures:
            return "pictures"
        return "sound" if self.reads_sound else "features"

    def takes(self, setting: str) -> bool:
        """Whether heads of this kind have a use for a setting of the recipe."""
        return setting not in self.refused and (self.settings is None or setting in self.settings)

    def problem(self, name: str, settings: Settings) -> str:
        """What is wrong with the settings of a head of this kind, which is called `name`; "" if nothing is."""
        if self.frames == "always" and self.weighs_frames and settings.queries < 1:
            return f"queries: a head of kind {name} pools by attention; ask for at least 1"
        if self.reads_pictures and self.takes("crop_frames") and settings.crop_frames > settings.clip_frames:
            return f"crop_frames: {settings.crop_frames} cannot be cut out of the {settings.clip_frames} of clip_frames"
        if self.reads_pictures and self.takes("crop_px") and settings.crop_px > settings.clip_px:
            return f"crop_px: {settings.crop_px} cannot be cut out of the {settings.clip_px} of clip_px"
        if self.reads_sound and settings.crop_frames * _PIECE < _POOL ** len(settings.filters):
            most = _POOL ** len(settings.filters) // _PIECE
            return f"crop_frames: {len(settings.filters)} blocks need {most} pieces of sound, or fewer filters"
        if not (self.sees_frames(settings) or settings.statistics):
            return "statistics: with neither statistics nor frames there is nothing to see; name a statistic"
        return ""


HEAD_KINDS: dict[str, HeadKind] = {
    "attention": HeadKind(
        front="heads.models.networks:attention_front",
        tail=_PUBLISHED_TAIL,
        frames="always",
        weighs_frames=True,
        batch_normalises=True,
        refused=PIXELS | RECURRENT | {"tap_dropout"},
    ),
    "recurrent": HeadKind(
        front="heads.models.networks:recurrent_front",
        tail=_PUBLISHED_TAIL,
        frames="always",
        weighs_frames=True,
        batch_normalises=True,
        refused=PIXELS | {"tap_dropout"},
    ),
    "deviation": HeadKind(
        front="heads.models.networks:attention_front",
        tail="heads.models.networks:lean_tail",
        frames="asked",
        front_statistics=("background",),
        weighs_frames=True,
        standardises=True,
        refused=PIXELS | RECURRENT,
    ),
    "discriminant": HeadKind(
        tail="heads.models.networks:roots_tail",
        trainer=CLOSED_FORM,
        takes_epochs=False,
        settings=WHERE | {"statistics", "covariance_shrinkage"} | NAMED,
        defaults={"metadata": (), "competing": True},
    ),
    "conv3d": HeadKind(
        front="heads.models.kinds.conv3d:conv3d_front",
        tail="heads.models.kinds.pixels:relu_tail",
        frames="always",
        reads_pictures=True,
        scores_frames=False,
        settings=_OF_PIXELS,
        defaults={
            "statistics": (),
            "metadata": (),
            "dense_units": (128, 128),
            "batch_clips": 32,
            "learning_rate": 1e-4,
        },
    ),
    "lrcn": HeadKind(
        front="heads.models.kinds.lrcn:lrcn_front",
        tail="heads.models.kinds.pixels:relu_tail",
        frames="always",
        reads_pictures=True,
        scores_frames=False,
        settings=_OF_PIXELS | {"recurrent_units", "frame_dropout"},
        defaults={
            "statistics": (),
            "metadata": (),
            "dense_units": (),
            "crop_frames": 30,
            "crop_px": 64,
            "colour_shift": 0.0,
            "filters": (32, 64, 128, 256),
            "recurrent_units": 256,
            "frame_dropout": 0.5,
            "batch_clips": 16,
            "learning_rate": 1e-4,
        },
    ),
    "finetuned": HeadKind(
        front="heads.models.kinds.finetuned:finetuned_front",
        tail="heads.models.kinds.finetuned:finetuned_tail",
        together="heads.models.kinds.finetuned:look_together",
        frames="always",
        reads_pictures=True,
        frame_by_frame=True,
        settings=(_ALONE | _TUNING | _LEARNING) - {"competing"},
        defaults={
            "statistics": (),
            "metadata": (),
            "clip_frames": 16,
            "clip_px": 224,
            "network": "efficientnet_lite0",
            "head_epochs": 1,
            "batch_clips": 8,
            "learning_rate": 5e-5,
            "least_learning_rate": 5e-5,
            "class_balance": 0.4,
            "balance_by": "classes",
            "start_at_prior": True,
        },
    ),
    "gru": HeadKind(
        front="heads.models.kinds.gru:gru_front",
        tail="heads.models.kinds.gru:gru_tail",
        frames="always",
        scores_frames=False,
        settings=WHERE | RECURRENT | _LEARNING | {"recurrent_units", "dropout", "dense_units", "dense_dropout"},
        defaults={
            "statistics": (),
            "metadata": (),
            "recurrent_units": 1024,
            "recurrent_dropout": 0.5,
            "window": 0.93,
            "dropout": 0.5,
            "dense_units": (),
            "batch_clips": 48,
            "learning_rate": 1e-4,
        },
    ),
    "conv1d": HeadKind(
        front="heads.models.kinds.conv1d:conv1d_front",
        tail="heads.models.kinds.pixels:relu_tail",
        frames="always",
        reads_sound=True,
        at_once=8,
        scores_frames=False,
        batch_normalises=True,
        settings=_ALONE | _LEARNING | {"crop_frames", "filters", "sgd_epochs", "dense_units", "dense_dropout"},
        defaults={
            "statistics": (),
            "metadata": (),
            "crop_frames": 80,
            "filters": (16, 32, 64, 128),
            "dense_units": (128, 128),
            "batch_clips": 8,
        },
    ),
}


def resolve(reference: str) -> Any:
    """The function that `module:function` names."""
    module, _, function = reference.partition(":")
    return getattr(import_module(module), function)
