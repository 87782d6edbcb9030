"""What features are made of: a backbone, its weights, and what part of the frame it sees."""

from dataclasses import dataclass

from featurize.backbones.runner import FULL, Precision
from featurize.backbones.spec import Backbone
from featurize.backbones.weights import RANDOM_WEIGHTS, Weights
from featurize.errors import SettingsError
from featurize.views.crops import ViewSpec
from featurize.views.registry import DEFAULT_VIEW, find_view, view_settings
from featurize.views.resize import DEFAULT_RULE, SQUARE_RULES, Canvas
from featurize.views.sampling import Sampling
from store.key import HALVES, FeatureKey


@dataclass(frozen=True, kw_only=True)
class FeatureSource:
    """One (backbone, view) pair, ready to be run.

    Attributes:
        backbone: a row of the registry.
        canvas: the size in which it sees frames.
        view: what part of a frame it sees.
        contrast: whether the view's squares are brought nearer to a usual contrast.
        weights: its weights.
        precision: what it computes in.
        quantised: the file of the quantised network, where `precision` is int8; None until it is known which one.
        stored: what its features are stored as: float16, or int8, rounded to a byte each.
    """

    backbone: Backbone
    canvas: Canvas
    view: str = DEFAULT_VIEW
    contrast: bool = False
    weights: Weights = RANDOM_WEIGHTS
    precision: Precision = FULL
    quantised: Weights | None = None
    stored: str = HALVES

    @property
    def view_spec(self) -> ViewSpec:
        """What it is shown of a clip, and in what size."""
        return ViewSpec(canvas=self.canvas, view=self.view, contrast=self.contrast)

    def key(self, sampling: Sampling) -> FeatureKey:
        """The feature key of this source under a sampling.

        Raises:
            SettingsError: it is to be quantised, and it is not known yet how.
        """
        if self.precision == "int8" and self.quantised is None:
            raise SettingsError(
                f"{self.backbone.name}: is to run in int8 and was not quantised; name clips to fit it to"
            )
        return FeatureKey(
            backbone=self.backbone.name,
            weights_sha256=self.weights.sha256,
            taps=tuple((tap.name, tap.channels) for tap in self.backbone.taps),
            input_px=self.canvas.px,
            resize=self.canvas.settings,
            preprocessing=self.backbone.preprocessing.name,
            view=view_settings(self.view, contrast=self.contrast),
            sampling=sampling.to_json(),
            dtype=self.stored,
            precision=self.precision,
            quantised=self.quantised.sha256 if self.quantised else "",
        )


def make_source(
    backbone: Backbone,
    weights: Weights,
    view: str = DEFAULT_VIEW,
    *,
    contrast: bool = False,
    input_px: int | None = None,
    resize: str | None = None,
    precision: Precision = FULL,
    stored: str = HALVES,
) -> FeatureSource:
    """The source of a backbone with some weights.

    Args:
        backbone: its row.
        weights: its weights.
        view: what part of a frame it sees.
        contrast: whether squares are brought nearer to a usual contrast, where that is the view's way; rules, which
            look at brightness themselves or keep pictures, see them as they are.
        input_px: nominal side of its input; the registry's if None.
        resize: how frames are brought to that size; if None, the default rule, or squashing for a network that takes
            nothing but squares.
        precision: what it computes in; rules compute as ever.
        stored: what its features are stored as; the few of rules are float16 as ever.

    Raises:
        SettingsError: there is no such view or rule, or the network does not take pictures of that shape.
    """
    if backbone.hears:
        view, input_px, resize = DEFAULT_VIEW, None, None  # It sees no picture.
    if not backbone.is_network:
        precision, stored = FULL, HALVES
    find_view(view)
    rule = resize or (DEFAULT_RULE if backbone.any_shape else SQUARE_RULES[0])
    if rule == DEFAULT_RULE and not backbone.any_shape:
        raise SettingsError(
            f"{backbone.name} takes squares only, and resize rule {rule!r} keeps the picture's shape; "
            f"expected one of {', '.join(SQUARE_RULES)}"
        )
    return FeatureSource(
        backbone=backbone,
        canvas=Canvas(px=input_px or backbone.input_px, rule=rule),
        view=view,
        contrast=contrast and find_view(view).evens_contrast and backbone.is_network,
        weights=weights,
        precision=precision,
        stored=stored,
    )
