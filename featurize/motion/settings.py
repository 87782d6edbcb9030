"""Everything that decides where motion is seen, as it stands in feature keys.

The words are frozen: a feature key's digest is made of them, so that another word, like another number, asks every user
to featurize everything again. They say `motion.`, `steady.` and `boxes.` wherever the numbers may live.
"""

from typing import Any

from featurize.motion import boxes, energy, stabilise
from featurize.motion.image_facts import LOW_FPS, LOW_WIDTH_PX, MOST_LOW_FRAMES


def motion_settings() -> dict[str, Any]:
    """What decides how much moves in a frame."""
    return {
        "low_px": LOW_WIDTH_PX,
        "low_fps": LOW_FPS,
        "low_frames": MOST_LOW_FRAMES,
        "motion.cell_px": energy.CELL_PX,
        "motion.moving": energy.MOVING,
        "motion.colourless": energy.COLOURLESS,
        "motion.colourless_share": energy.COLOURLESS_SHARE,
        "motion.dense_s": energy.DENSE_S,
        "motion.fewest_frames": energy.FEWEST_FRAMES,
        "motion.fit_share": energy.FIT_SHARE,
        "motion.fit_stride": energy.FIT_STRIDE,
        "motion.gain_range": list(energy.GAIN_RANGE),
        "motion.least_spread": energy.LEAST_SPREAD,
        "motion.most_background_frames": energy.MOST_BACKGROUND_FRAMES,
        "motion.most_switches": energy.MOST_SWITCHES,
        "motion.noise_floor": energy.NOISE_FLOOR,
        "motion.noise_spreads": energy.NOISE_SPREADS,
        "motion.settling_s": energy.SETTLING_S,
        "motion.smoothing_cells": energy.SMOOTHING_CELLS,
        "motion.smoothing_s": energy.SMOOTHING_S,
        "steady.gain": stabilise.GAIN,
        "steady.least_shift_px": stabilise.LEAST_SHIFT_PX,
        "steady.most_shift_px": stabilise.MOST_SHIFT_PX,
        "steady.revision": stabilise.REVISION,
        "steady.stride_px": stabilise.STRIDE_PX,
    }


def box_settings() -> dict[str, Any]:
    """What decides, on top of that, which part of a frame is seen."""
    return {
        "boxes.most_boxes": boxes.MOST_BOXES,
        "boxes.moving": energy.MOVING,
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
