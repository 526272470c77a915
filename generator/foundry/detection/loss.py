"""How far the network's maps are from the truth: task-aligned assignment, then class and box losses."""

from dataclasses import dataclass

import torch  # type: ignore[import-not-found]
from torch import Tensor
from torch.nn import functional  # type: ignore[import-not-found]

from foundry.detection.network import OUTPUTS, STRIDES
from foundry.detection.scenes import SIZE

CANDIDATES = 8
SCORE_POWER, OVERLAP_POWER = 0.5, 5.0
BOX_WEIGHT = 5.0
TINY = 1e-7


@dataclass(frozen=True)
class Truth:
    """What is on a batch of pictures, padded to the most shapes of any: ``boxes`` is ``[batch, shapes, 4]``."""

    boxes: Tensor
    classes: Tensor
    present: Tensor


def loss_of(maps: list[Tensor], truth: Truth) -> Tensor:
    """Give the loss of one batch, the mean over its shapes."""
    raw = torch.cat([each.flatten(2) for each in maps], dim=2).transpose(1, 2)
    centres, strides = grid()
    boxes, logits = decode(raw[..., :4], centres, strides), raw[..., 4:]
    with torch.no_grad():
        owner, targets = _assign(boxes, logits.sigmoid(), centres, truth)
    total = targets.sum().clamp(min=1)
    found = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / total
    taken = owner >= 0
    wanted = truth.boxes.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, 4))
    weights = targets.sum(-1)[taken]
    overlap = _complete_overlap(boxes[taken], wanted[taken])
    return found + BOX_WEIGHT * ((1 - overlap) * weights).sum() / total


def grid() -> tuple[Tensor, Tensor]:
    """Give the centre of every cell, ``[cells, 2]``, and its size, ``[cells]``, in pixels."""
    centres, strides = [], []
    for stride in STRIDES:
        along = (torch.arange(SIZE // stride) + 0.5) * stride
        rows, columns = torch.meshgrid(along, along, indexing="ij")
        centres.append(torch.stack([columns, rows], -1).reshape(-1, 2))
        strides.append(torch.full((centres[-1].shape[0],), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode(raw: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Turn raw distances into boxes, left, top, right, bottom, in pixels."""
    distances = functional.softplus(raw) * strides[:, None]
    return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)


def _assign(boxes: Tensor, scores: Tensor, centres: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Give each cell the shape that it is to find, or -1, and its target scores, ``[batch, cells, classes]``.

    A shape gets the cells inside it that are best at both naming and framing it (Feng et al., 2021).
    """
    overlap = _overlap(truth.boxes[:, :, None], boxes[:, None]).clamp(min=0)
    naming = scores.transpose(1, 2).gather(1, truth.classes[..., None].expand(-1, -1, scores.shape[1]))
    reach = torch.cat([centres - truth.boxes[:, :, None, :2], truth.boxes[:, :, None, 2:] - centres], -1)
    possible = (reach.amin(-1) > 0) & truth.present[..., None]
    alignment = naming**SCORE_POWER * overlap**OVERLAP_POWER * possible
    # A shape smaller than a cell may hold no centre and is then learnt from nothing; the scenes have none so small.
    best = alignment.topk(CANDIDATES, dim=-1)
    chosen = torch.zeros_like(alignment).scatter_(-1, best.indices, (best.values > 0).float()) > 0
    contested = torch.where(chosen, overlap, torch.full_like(overlap, -1))
    strength, owner = contested.max(dim=1)
    owner = torch.where(strength >= 0, owner, torch.full_like(owner, -1))
    mine = chosen & (owner[:, None] == torch.arange(truth.boxes.shape[1])[None, :, None])
    alignment, framed = alignment * mine, overlap * mine
    scaled = alignment / (alignment.amax(-1, keepdim=True) + TINY) * framed.amax(-1, keepdim=True)
    value = scaled.amax(1)
    labels = truth.classes.gather(1, owner.clamp(min=0))
    return owner, functional.one_hot(labels, OUTPUTS - 4) * value[..., None]


def _overlap(one: Tensor, other: Tensor) -> Tensor:
    size = (torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])).clamp(min=0)
    both = size.prod(-1)
    area = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1)
    return both / (area - both + TINY)


def _complete_overlap(one: Tensor, other: Tensor) -> Tensor:
    """Give the overlap less the distance of the centres relative to the box around both (DIoU)."""
    around = torch.maximum(one[..., 2:], other[..., 2:]) - torch.minimum(one[..., :2], other[..., :2])
    apart = (one[..., :2] + one[..., 2:] - other[..., :2] - other[..., 2:]) / 2
    return _overlap(one, other) - apart.square().sum(-1) / (around.square().sum(-1) + TINY)
