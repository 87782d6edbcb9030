"""Everything that decides, beside the network, where a detector's boxes are, as it stands in feature keys.

The words are frozen: a feature key's digest is made of them.
"""

from typing import Any

from featurize.detection import boxes, over_time


def detection_settings() -> dict[str, Any]:
    """What decides which of a detector's boxes are believed."""
    return {
        "detector.least_confidence": boxes.LEAST_CONFIDENCE,
        "detector.most_shared": boxes.MOST_SHARED,
        "detector.look_s": over_time.LOOK_S,
        "detector.begins": over_time.BEGINS,
        "detector.follows": over_time.FOLLOWS,
        "detector.most_area": over_time.MOST_AREA,
        "detector.stands_share": over_time.STANDS_SHARE,
        "detector.stands_looks": over_time.STANDS_LOOKS,
        "detector.stands_overlap": over_time.STANDS_OVERLAP,
        "detector.stands_sure": over_time.STANDS_SURE,
    }
