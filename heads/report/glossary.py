"""The words that commands, pages and documents use, each explained once."""

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "AP, mAP": "average precision: how far up a species' clips stand when all clips are ranked by its "
        "probability; 1 is perfect. mAP is the mean over species.",
        "Backbone, network": "a pretrained image network, of which Trapline keeps what it saw and never changes "
        "a weight.",
        "Blend, blender": "several heads' answers made into one, and a way of doing that.",
        "Calibrated": "of the clips that are given 0.7, seven in ten show the species.",
        "Clip": "one video file, or one image. Its id is its path below the folder that was named.",
        "Clip facts": "what is known of a clip beside its pictures: frame size, file size, length, light, "
        "motion. Recipes call them `metadata`.",
        "Feature": "a number that a network gives for a frame; 1,752 of them under `efficientnet_lite0`.",
        "Feature store": "the folder that keeps features, with the reason of every clip that has none.",
        "Fold": "one of the parts into which labelled clips are dealt. Each is scored by models that learned "
        "from the others.",
        "Head": "a small model that is trained on features: the only thing that learns from your labels.",
        "Log loss": "the score: small when probabilities are right, and no surer than they should be.",
        "Out of fold": "said of a clip by a model that has not learned from it.",
        "Recipe": "the YAML file that says which heads are trained, and how.",
        "Run": "the folder with trained heads, their answers, the blend and the report.",
        "Site": "a place where a camera hung. All of its clips are in one fold, so that scores are those of a "
        "new place.",
        "View": "what part of a frame a network sees: the `whole` frame, squares around what moves (`motion`), or "
        "around whatever the camera's other clips do not show (`animal`).",
    }
)
"""What each word means."""
