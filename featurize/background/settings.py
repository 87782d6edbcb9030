"""Everything that decides what a clip is seen against and what differs from it, as it stands in feature keys.

The words are frozen: a feature key's digest is made of them, and so is the name of the folder in which a store keeps
backgrounds.
"""

from typing import Any

from featurize.background import difference, key_picture, likeness, neighbours
from featurize.motion import energy
from featurize.motion.image_facts import LOW_WIDTH_PX


def background_settings() -> dict[str, Any]:
    """What decides which clips a clip is seen against."""
    return {
        "low_px": LOW_WIDTH_PX,
        "background.key_frames": key_picture.KEY_FRAMES,
        "background.fewest_key_frames": key_picture.FEWEST_KEY_FRAMES,
        "background.most_decoded_px": key_picture.MOST_DECODED_PX,
        "background.colourless": energy.COLOURLESS,
        "background.colourless_share": energy.COLOURLESS_SHARE,
        "background.least_spread": key_picture.LEAST_SPREAD,
        "background.scale_percentiles": list(key_picture.SCALE_PERCENTILES),
        "background.alike": likeness.ALIKE,
        "background.most_shift_px": likeness.MOST_SHIFT_PX,
        "background.detail_px": likeness.DETAIL_PX,
        "background.contrast_px": likeness.CONTRAST_PX,
        "background.least_contrast": likeness.LEAST_CONTRAST,
        "background.most_contrast": likeness.MOST_CONTRAST,
        "background.block_px": likeness.BLOCK_PX,
        "background.border_px": likeness.BORDER_PX,
        "background.sketch_px": likeness.SKETCH_PX,
        "background.sketch_smoothing_px": likeness.SKETCH_SMOOTHING_PX,
        "background.sketch_length": likeness.SKETCH_LENGTH,
        "background.candidates": neighbours.CANDIDATES,
        "background.most_neighbours": neighbours.MOST_NEIGHBOURS,
        "background.fewest_neighbours": neighbours.FEWEST_NEIGHBOURS,
    }


def difference_settings() -> dict[str, Any]:
    """What decides, on top of that, what differs from the background."""
    return {
        "difference.agreeing": difference.AGREEING,
        "difference.begins": difference.BEGINS,
        "difference.reaches": difference.REACHES,
        "difference.detail_px": difference.DETAIL_PX,
        "difference.least_usual": difference.LEAST_USUAL,
        "difference.usual_quantile": difference.USUAL_QUANTILE,
        "difference.smoothing_cells": difference.SMOOTHING_CELLS,
        "difference.look_s": difference.LOOK_S,
        "difference.frames_a_look": difference.FRAMES_A_LOOK,
        "difference.stays_s": difference.STAYS_S,
        "difference.least_shift_px": difference.LEAST_SHIFT_PX,
        "difference.most_shift_px": difference.MOST_SHIFT_PX,
        "difference.power": difference.POWER,
        "difference.most_inside": difference.MOST_INSIDE,
    }
