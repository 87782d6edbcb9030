"""Made `inception_v4.npz`: what timm's inception_v4 computes on fixed pixels with made-up weights.

Run once, in an environment of its own, with `torch==2.13.0` and `timm==1.0.29`; the project itself needs neither:

    PYTHONPATH=tests/support python tests/test_featurize/goldens/make_inception_v4.py

The weights are those of `seeded_tensors`, so that no checkpoint has to be kept. For two picture shapes it holds the
global average of the ends of the A, B and C blocks, in float32.
"""

from pathlib import Path

import numpy as np
import timm
import torch
from golden_pixels import golden_pixels
from seeded_tensors import seeded_tensors

SHAPES = {"square": (139, 139), "wide": (112, 192)}


def main() -> None:
    model = timm.create_model("inception_v4", pretrained=False)
    # A counter of training steps is no weight.
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if "num_batches" not in name}
    missing = model.load_state_dict(
        {name: torch.from_numpy(tensor) for name, tensor in seeded_tensors(shapes).items()}, strict=False
    )
    print("left as they were:", {name.rsplit(".", 1)[-1] for name in missing.missing_keys}, missing.unexpected_keys)
    model.eval()
    goldens = {}
    for shape_name, (height, width) in SHAPES.items():
        image = torch.from_numpy(golden_pixels(height, width).astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            taps = model.forward_intermediates(image / 127.5 - 1, indices=[2, 3, 4], intermediates_only=True)
        goldens[shape_name] = torch.cat([tap.mean((2, 3))[0] for tap in taps]).numpy()
        print(shape_name, [tuple(tap.shape) for tap in taps], float(goldens[shape_name].std()))
    np.savez_compressed(Path(__file__).with_name("inception_v4.npz"), **goldens)


if __name__ == "__main__":
    main()
