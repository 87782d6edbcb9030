"""Made `yolox.npz`: what the reference implementation in torch computes on a fixed picture, with made-up weights.

Run once, in an environment of its own with `torch==2.14.1` and `yolox==0.3.0`, and `tests/support` on the path; the
project itself never needs torch. It holds, of each place of the maps, x, y, width and height of its box in pixels, and
the two confidences: (N, 6) float32, of a square of 96 px.
"""

from pathlib import Path

import numpy as np
import torch
from golden_pixels import golden_pixels
from seeded_tensors import seeded_tensors
from yolox.models import YOLOPAFPN, YOLOX, YOLOXHead

SIDE_PX = 96


def main() -> None:
    parts = {"in_channels": [256, 512, 1024], "act": "silu"}
    model = YOLOX(YOLOPAFPN(0.33, 0.375, **parts), YOLOXHead(1, 0.375, **parts)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items() if value.dim()}
    tensors = {name: torch.from_numpy(value) for name, value in seeded_tensors(shapes).items()}
    left = model.load_state_dict(tensors, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in left.missing_keys)
    pixels = torch.from_numpy(golden_pixels(SIDE_PX, SIDE_PX).astype(np.float32)).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        found = model(pixels)[0].numpy()
    print(found.shape, found[:, 4:].min(), found[:, 4:].max(), found[:, :4].min(), found[:, :4].max())
    np.savez_compressed(Path(__file__).with_name("yolox.npz"), boxes=found)


if __name__ == "__main__":
    main()
