"""Fits the network to drawn scenes with PyTorch, on one thread, from fixed seeds."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch  # type: ignore[import-not-found]
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional  # type: ignore[import-not-found]

from foundry.detection.loss import Truth, loss_of
from foundry.detection.network import LAYERS, OUTPUTS, forward
from foundry.detection.scenes import SIZE, Scene

Weights = dict[str, NDArray[np.float32]]
EPSILON = 1e-3
PRIOR = 0.01


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to fit; chosen by the time that it may take, not by what it scores."""

    scenes: int = 10_000
    steps: int = 4_500
    batch: int = 24
    rate: float = 4e-3
    decay: float = 0.02
    averaging: float = 0.997
    seed: int = 1


@dataclass
class TorchOperations:
    """The network's parts in PyTorch; ``fitting`` decides whose statistics normalise."""

    parameters: dict[str, Tensor]
    statistics: dict[str, Tensor]
    fitting: bool = True

    def convolve(self, name: str, picture: Tensor) -> Tensor:
        """Apply the layer of this name."""
        layer, values = LAYERS[name], self.parameters
        bias = None if layer.active else values[f"{name}.bias"]
        made = functional.conv2d(picture, values[f"{name}.weight"], bias, layer.stride, layer.kernel // 2)
        if not layer.active:
            return made
        made = functional.batch_norm(
            made,
            self.statistics[f"{name}.mean"],
            self.statistics[f"{name}.variance"],
            values[f"{name}.scale"],
            values[f"{name}.shift"],
            training=self.fitting,
            momentum=0.03,
            eps=EPSILON,
        )
        return functional.relu(made)

    def add(self, one: Tensor, other: Tensor) -> Tensor:
        """Add two pictures of one size."""
        return one + other

    def enlarge(self, picture: Tensor) -> Tensor:
        """Double width and height by repeating."""
        return functional.interpolate(picture, scale_factor=2, mode="nearest")


@dataclass
class Averages:
    """Running averages of the weights, which judge better than the weights of any one step."""

    keep: float
    values: dict[str, Tensor] = field(default_factory=dict)

    def follow(self, current: dict[str, Tensor], step: int) -> None:
        """Take one step's weights in; early steps weigh more, because the first weights are noise."""
        keep = min(self.keep, (1 + step) / (10 + step))
        for name, value in current.items():
            old = self.values.setdefault(name, value.detach().clone())
            old.mul_(keep).add_(value.detach(), alpha=1 - keep)


def fit(scenes: list[Scene], recipe: Recipe) -> Weights:
    """Fit the network; gives weights with the normalisation folded in: ``NAME.weight`` and ``NAME.bias``."""
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    operations = _start()
    values = list(operations.parameters.values())
    optimiser = torch.optim.AdamW(values, lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.1, final_div_factor=100
    )
    averages, started = Averages(recipe.averaging), time.monotonic()
    for step, (pictures, truth) in enumerate(_batches(scenes, recipe)):
        loss = loss_of(forward(operations, pictures), truth)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(values, 10.0)
        optimiser.step()
        schedule.step()
        averages.follow(operations.parameters | operations.statistics, step)
        if step % 50 == 0:
            print(
                f"step {step} of {recipe.steps}: loss {loss.item():.3f}, {time.monotonic() - started:.0f} s", flush=True
            )
    return _fold(averages.values)


def _start() -> TorchOperations:
    parameters, statistics = {}, {}
    for name, layer in LAYERS.items():
        spread = math.sqrt(2 / (layer.inputs * layer.kernel**2))
        shape = (layer.outputs, layer.inputs, layer.kernel, layer.kernel)
        parameters[f"{name}.weight"] = torch.randn(shape) * spread
        if layer.active:
            parameters[f"{name}.scale"] = torch.ones(layer.outputs)
            parameters[f"{name}.shift"] = torch.zeros(layer.outputs)
            statistics[f"{name}.mean"] = torch.zeros(layer.outputs)
            statistics[f"{name}.variance"] = torch.ones(layer.outputs)
        else:
            # At first nothing is found anywhere, and boxes are two cells wide.
            parameters[f"{name}.weight"] *= 0.1
            bias = torch.full((OUTPUTS,), math.log(PRIOR))
            bias[:4] = 1.0
            parameters[f"{name}.bias"] = bias
    for value in parameters.values():
        value.requires_grad_()
    return TorchOperations(parameters, statistics)


def _batches(scenes: list[Scene], recipe: Recipe) -> Iterator[tuple[Tensor, Truth]]:
    rng = np.random.default_rng(recipe.seed)
    order: list[int] = []
    for _ in range(recipe.steps):
        if len(order) < recipe.batch:
            order = rng.permutation(len(scenes)).tolist()
        chosen = [_vary(scenes[order.pop()], rng) for _ in range(recipe.batch)]
        pictures = np.stack([scene.pixels for scene in chosen]).transpose(0, 3, 1, 2).astype(np.float32) / 255
        yield torch.from_numpy(pictures), _truth(chosen)


def _vary(scene: Scene, rng: np.random.Generator) -> Scene:
    """Mirror and transpose a scene at random and swap its colours; no shape becomes another by that."""
    pixels, boxes = scene.pixels[..., rng.permutation(3)], scene.boxes
    if rng.random() < 0.5:  # noqa: PLR2004 - a coin
        pixels, boxes = pixels[:, ::-1], np.stack([SIZE - boxes[:, 2], boxes[:, 1], SIZE - boxes[:, 0], boxes[:, 3]], 1)
    if rng.random() < 0.5:  # noqa: PLR2004 - a coin
        pixels, boxes = pixels[::-1], np.stack([boxes[:, 0], SIZE - boxes[:, 3], boxes[:, 2], SIZE - boxes[:, 1]], 1)
    if rng.random() < 0.5:  # noqa: PLR2004 - a coin
        pixels, boxes = pixels.transpose(1, 0, 2), boxes[:, [1, 0, 3, 2]]
    return Scene(pixels, boxes, scene.classes)


def _truth(scenes: list[Scene]) -> Truth:
    most = max(1, *(len(scene.classes) for scene in scenes))
    boxes = np.zeros((len(scenes), most, 4), np.float32)
    classes = np.zeros((len(scenes), most), np.int64)
    present = np.zeros((len(scenes), most), np.bool_)
    for row, scene in enumerate(scenes):
        count = len(scene.classes)
        boxes[row, :count], classes[row, :count], present[row, :count] = scene.boxes, scene.classes, True
    return Truth(*(torch.from_numpy(each) for each in (boxes, classes, present)))


def _fold(values: dict[str, Tensor]) -> Weights:
    folded: dict[str, Tensor] = {}
    for name, layer in LAYERS.items():
        weight = values[f"{name}.weight"]
        if layer.active:
            gain = values[f"{name}.scale"] / torch.sqrt(values[f"{name}.variance"] + EPSILON)
            folded[f"{name}.bias"] = values[f"{name}.shift"] - gain * values[f"{name}.mean"]
            weight = weight * gain[:, None, None, None]
        else:
            folded[f"{name}.bias"] = values[f"{name}.bias"]
        folded[f"{name}.weight"] = weight
    return {name: value.numpy() for name, value in folded.items()}
