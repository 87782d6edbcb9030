"""Everything that decides where motion is seen, as it stands in feature keys.

The words are frozen: a feature key's digest is made of them, so that another word, like another number, asks every user
to featurize everything again. They say `motion.`, `steady.` and `boxes.` wherever the numbers may live.
"""

from typing import Any

from featurize.motion import boxes
from featurize.motion import stabilise as steady
from featurize.motion.energy import energy as motion
from featurize.motion.image_facts import LOW_FPS, LOW_WIDTH_PX, MOST_LOW_FRAMES


def motion_settings() -> dict[str, Any]:
    """What decides how much moves in a frame."""
    return {
        "low_px": LOW_WIDTH_PX,
        "low_fps": LOW_FPS,
        "low_frames": MOST_LOW_FRAMES,
        "motion.cell_px": motion.CELL_PX,
        "motion.moving": motion.MOVING,
        "motion.colourless": motion.COLOURLESS,
        "motion.colourless_share": motion.COLOURLESS_SHARE,
        "motion.dense_s": motion.DENSE_S,
        "motion.fewest_frames": motion.FEWEST_FRAMES,
        "motion.fit_share": motion.FIT_SHARE,
        "motion.fit_stride": motion.FIT_STRIDE,
        "motion.gain_range": list(motion.GAIN_RANGE),
        "motion.least_spread": motion.LEAST_SPREAD,
        "motion.most_background_frames": motion.MOST_BACKGROUND_FRAMES,
        "motion.most_switches": motion.MOST_SWITCHES,
        "motion.noise_floor": motion.NOISE_FLOOR,
        "motion.noise_spreads": motion.NOISE_SPREADS,
        "motion.settling_s": motion.SETTLING_S,
        "motion.smoothing_cells": motion.SMOOTHING_CELLS,
        "motion.smoothing_s": motion.SMOOTHING_S,
        "steady.gain": steady.GAIN,
        "steady.least_shift_px": steady.LEAST_SHIFT_PX,
        "steady.most_shift_px": steady.MOST_SHIFT_PX,
        "steady.stride_px": steady.STRIDE_PX,
    }


def box_settings() -> dict[str, Any]:
    """What decides, on top of that, which part of a frame is seen."""
    return {
        "boxes.most_boxes": boxes.MOST_BOXES,
        "boxes.moving": motion.MOVING,
        "boxes.whole_frame": list(boxes.WHOLE_FRAME),
        "boxes.caption": boxes.CAPTION,
        "boxes.least_side": boxes.LEAST_SIDE,
        "boxes.margin": boxes.MARGIN,
        "boxes.most_overlap": boxes.MOST_OVERLAP,
        "boxes.share_of_first": boxes.SHARE_OF_FIRST,
        "boxes.share_of_peak": boxes.SHARE_OF_PEAK,
        "boxes.smear_cells": boxes.SMEAR_CELLS,
        "boxes.too_much": boxes.TOO_MUCH,
    }
