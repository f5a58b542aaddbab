"""Make the stand-in for ImageNet: the small backbone, trained on class labels of procedural stills.

    python tools/pretrain_standin.py --out wsvis/assets/standin_backbone.safetensors

About 8 minutes on one core of a laptop-class CPU (one minute to draw 18,000 stills, the rest to
train), 1 GB of memory. Writes the backbone (1.7 MB) with how it was made in its metadata. The
network never sees a mask, nor any of the textures, hues and shapes of the synthetic clips.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional

from wsvis.backbones.networks import build_backbone
from wsvis.data.stills import CLASS_COUNT, stills
from wsvis.files.atomic import write_bytes
from wsvis.payload import Payload, to_bytes

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CROP = 88
"""Of the 96-pixel stills: a little shift at every visit."""


def main(
    out: Path = Path("wsvis/assets/standin_backbone.safetensors"),
    seed: int = 0,
    count: int = 18_000,
    iterations: int = 4_400,
    batch: int = 32,
    learning_rate: float = 3e-3,
    threads: int = 1,
) -> None:
    """Train and write the stand-in.

    Args:
        out: file to write.
        seed: of the initial weights and of the order of the stills.
        count: stills drawn for training.
        iterations: training steps.
        batch: stills per step.
        learning_rate: highest rate of AdamW; it falls to zero along a cosine.
        threads: cores to use.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    started = time.process_time()
    images, labels = (torch.from_numpy(array) for array in stills("train", 0, count))
    print(f"{count} stills after {time.process_time() - started:.0f} CPU-s", flush=True)
    backbone = build_backbone("small")
    backbone.frozen_statistics = False
    head = nn.Linear(backbone.channels[-1], CLASS_COUNT)
    net = nn.ModuleList([backbone, head]).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=0.05)
    for step in range(iterations):
        warm = min(1.0, (step + 1) / 100)
        cosine = 0.5 * (1 + math.cos(math.pi * step / iterations))
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * warm * cosine
        chosen = torch.randint(count, (batch,))
        top, left = torch.randint(images.shape[1] - CROP + 1, (2,)).tolist()
        crop = images[chosen, top : top + CROP, left : left + CROP]
        if torch.rand(()) < 0.5:
            crop = crop.flip(2)
        loss = functional.cross_entropy(_logits(backbone, head, crop), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if (step + 1) % 200 == 0:
            spent = time.process_time() - started
            print(f"step {step + 1}  loss {loss.item():.3f}  {spent:.0f} CPU-s", flush=True)
    net.eval()
    accuracy = _accuracy(backbone, head)
    data = {
        "kind": "backbone",
        "backbone": "small",
        "made_by": "tools/pretrain_standin.py",
        "normalisation": "imagenet",
        "seed": seed,
        "stills": count,
        "iterations": iterations,
        "batch": batch,
        "learning_rate": learning_rate,
        "classes": CLASS_COUNT,
        "held_out_accuracy": round(accuracy, 4),
        "torch": torch.__version__,
    }
    arrays = {
        name: tensor.numpy()
        for name, tensor in backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, to_bytes(Payload(arrays, data)))
    print(f"held-out accuracy {accuracy:.3f}; wrote {out} ({out.stat().st_size / 1e6:.2f} MB)")


def _logits(backbone: nn.Module, head: nn.Module, images: Tensor) -> Tensor:
    mean, std = (255 * torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    x = (images.permute(0, 3, 1, 2).float() - mean) / std
    return head(backbone(x)[-1].mean((2, 3)))


@torch.no_grad()
def _accuracy(backbone: nn.Module, head: nn.Module, count: int = 2_000) -> float:
    images, labels = stills("held-out", 0, count)
    logits = [_logits(backbone, head, part) for part in torch.from_numpy(images).split(100)]
    return float(np.mean(torch.cat(logits).argmax(1).numpy() == labels))


if __name__ == "__main__":
    tyro.cli(main)
