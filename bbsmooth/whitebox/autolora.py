"""AutoLoRa: robust fine-tuning through the extractor, natural training through a low-rank branch, no knobs to turn.

Xu, Zhang, Kankanhalli, ICLR 2024 (arXiv 2310.01818). The two objectives pull the same weights in different directions;
so natural images go through W + B A and train only the branch, and perturbed ones train W, which is what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bbsmooth.whitebox.distributed import ALONE, Group
from bbsmooth.whitebox.fitting import FitPlan
from bbsmooth.whitebox.lora import import_peft
from bbsmooth.whitebox.low_rank import ADAPTER_NAME, make_linear
from bbsmooth.whitebox.noising import Noising
from bbsmooth.whitebox.objectives import Model
from bbsmooth.whitebox.objectives.smooth_adversarial import RADIUS, STEPS, ascended

RANK = 8
DIVERGENCE = 6.0
"""Of the weight of the divergence, times the natural accuracy: beta in TRADES."""
_LOOKS = 4  # at the natural accuracy, in an epoch


@dataclass(frozen=True, slots=True)
class Branches:
    """A classifier with a low-rank branch that can be left out; all weights of both are trained.

    Attributes:
        module: a `peft.PeftModel`.
        head: the names of the classifying layers, which both objectives train.
    """

    module: Any
    head: tuple[str, ...]

    @classmethod
    def grow(cls, module: nn.Module, head: tuple[str, ...], *, seed: int, rank: int = RANK) -> Branches:
        """A branch on every linear layer and convolution of the body."""
        peft = import_peft()
        layers = [
            name
            for name, part in module.named_modules()
            if isinstance(part, nn.Linear | nn.Conv2d) and name not in head and getattr(part, "groups", 1) == 1
        ]
        config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=layers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            grown = peft.get_peft_model(module, config, ADAPTER_NAME)
        make_linear(grown)
        return cls(grown.requires_grad_(True), head)

    def natural(self, images: Tensor) -> Tensor:
        """Logits through W + B A."""
        logits: Tensor = self.module(images)
        return logits

    def robust(self, images: Tensor) -> Tensor:
        """Logits through W."""
        with self.without_branch():
            logits: Tensor = self.module(images)
        return logits

    @property
    def extractor_weights(self) -> list[nn.Parameter]:
        """Of W: everything but the branch and the classifying layers."""
        return [
            weight
            for name, weight in self.module.named_parameters()
            if "lora_" not in name and not any(f".{layer}." in f".{name}" for layer in self.head)
        ]

    @contextmanager
    def extractor_at_rest(self) -> Iterator[None]:
        """Train the branch and the classifying layers alone, by what is computed meanwhile."""
        weights = self.extractor_weights
        for weight in weights:
            weight.requires_grad_(False)
        yield
        for weight in weights:
            weight.requires_grad_(True)

    @contextmanager
    def without_branch(self) -> Iterator[None]:
        """Leave the branch out; its gradients stay wanted."""
        with self.module.disable_adapter():
            self.module.requires_grad_(True)
            yield
        self.module.requires_grad_(True)

    def extractor(self) -> nn.Module:
        """The classifier without the branch, as it is kept."""
        plain: nn.Module = self.module.unload()
        return plain


@dataclass(slots=True, kw_only=True)
class AutoLora:
    """l1 CE(natural(x), y) + (1 - l1) CE(robust(x'), y) + l2 KL(natural(x) || robust(x')), equations 5 to 8.

    l1 = 1 - SA and l2 = 6 SA, with SA the natural branch's accuracy on the training images of the last quarter of an
    epoch, as they passed: where SA falls, natural images count more within the same epoch. x' is a noisy copy of x,
    moved by projected gradient ascent of the divergence within SmoothAdv's L2 ball; without steps it is the noisy copy
    itself. The paper takes 10 steps in an L-infinity ball of 8/255, against attacks on images without noise: in it a
    small transformer collapsed under noise.

    Args:
        branches: the classifier.
        normalised: from images with white at 1 to what it takes.
        radius: of the ball.
        steps: of the ascent, each 2 radius / steps long.
        natural_accuracy: SA, to begin with.
        apart: whether natural images leave W alone, which is the paper's point; without it they train W as well.
        epochs: of the training.
        group: processes that train together.
    """

    branches: Branches
    normalised: Model
    radius: float = RADIUS
    steps: int = STEPS
    natural_accuracy: float = 0.0
    apart: bool = True
    epochs: int = 1
    group: Group = ALONE
    _quarter: int = field(init=False, default=0)
    _right: float = field(init=False, default=0.0)
    _seen: float = field(init=False, default=0.0)
    name: ClassVar[str] = "autolora"

    def loss(self, model: Model, images: Tensor, labels: Tensor, noising: Noising, *, trained: float) -> Tensor:
        """Mean over the batch; `model` is not asked, the two branches are."""
        quarter = math.floor(round(trained * self.epochs * _LOOKS, 9))
        if quarter != self._quarter:
            self._quarter = quarter
            self.look()
        with self.branches.extractor_at_rest() if self.apart else nullcontext():
            natural = self.branches.natural(self.normalised(images))
        perturbed = self.perturbed(images, natural.detach(), noising)
        robust = self.branches.robust(self.normalised(perturbed))
        each = 1.0 if noising.shard is None else noising.shard.each
        self._right += each * int((natural.detach().argmax(1) == labels).sum())
        self._seen += each * len(labels)
        weight, divergence = self.weights
        fitted = weight * F.cross_entropy(natural, labels) + (1 - weight) * F.cross_entropy(robust, labels)
        return fitted + divergence * kullback_leibler(natural, robust)

    @property
    def weights(self) -> tuple[float, float]:
        """l1 and l2 (equations 7 and 8)."""
        return 1 - self.natural_accuracy, DIVERGENCE * self.natural_accuracy

    def look(self) -> None:
        """Take the accuracy since the last look, over all processes, into the weights."""
        counts = torch.tensor([self._right, self._seen], device=next(self.branches.module.parameters()).device)
        self.group.add([counts])
        self._right, self._seen = counts.tolist()
        self.natural_accuracy = self._right / self._seen if self._seen else self.natural_accuracy
        self._right = self._seen = 0.0

    def perturbed(self, images: Tensor, natural: Tensor, noising: Noising) -> Tensor:
        """x': noisy copies of images (B, C, H, W), moved to where the branches differ most."""
        noisy = images + noising.like(images)
        moved = torch.zeros_like(noisy)
        for _ in range(self.steps):
            moved.requires_grad_(True)
            divergence = kullback_leibler(natural, self.branches.robust(self.normalised(noisy + moved)))
            (gradient,) = torch.autograd.grad(divergence, moved)
            moved = ascended(moved.detach(), gradient, radius=self.radius, step=2 * self.radius / self.steps)
        return noisy + moved


def kullback_leibler(first: Tensor, second: Tensor) -> Tensor:
    """Mean over the batch of KL(softmax(first) || softmax(second))."""
    return F.kl_div(second.log_softmax(1), first.log_softmax(1), reduction="batchmean", log_target=True)


def checkpoints(epochs: int) -> tuple[int, ...]:
    """Epochs after which the learning rate is reconsidered, as in Auto-PGD (Croce & Hein, ICML 2020, section 3.1).

    ceil(p_j * epochs) with p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06).
    """
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return tuple(sorted({math.ceil(round(share * epochs, 9)) for share in shares if 0 < share <= 1}))


@dataclass(slots=True)
class AutoRate:
    """The learning rate that halves itself where robust accuracy on held-out images stops rising.

    At each checkpoint it is halved, and training goes on from the best weights, if fewer than 75 % of the epochs since
    the last checkpoint raised the accuracy, or if neither rate nor best accuracy changed since then.

    Args:
        plan: everything but the rate; its learning rate is the first.
    """

    plan: FitPlan
    current: float = field(init=False)
    accuracies: list[float] = field(init=False, default_factory=list)
    _halved: bool = field(init=False, default=False)  # at the last checkpoint
    _best_then: float = field(init=False, default=-1.0)  # at the last checkpoint

    def __post_init__(self) -> None:
        """Begin at the plan's rate."""
        self.current = self.plan.learning_rate

    @property
    def epochs(self) -> int:
        """Times that every image is seen."""
        return self.plan.epochs

    @property
    def batch_size(self) -> int:
        """Images a step."""
        return self.plan.batch_size

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""
        return self.plan.weight_decay

    @property
    def bfloat16(self) -> bool:
        """True if the forward pass computes in it."""
        return self.plan.bfloat16

    def rate(self, done: float) -> float:
        """The current rate, whatever the share `done` of the training."""
        return self.current

    def after_epoch(self, accuracy: float) -> tuple[bool, bool]:
        """Take note of the robust accuracy after an epoch: (is it the best, go on from the best weights)."""
        best_before = max(self.accuracies, default=-1.0)
        self.accuracies.append(accuracy)
        epoch, marks = len(self.accuracies), checkpoints(self.epochs)
        if epoch not in marks:
            return accuracy > best_before, False
        since = max((mark for mark in marks if mark < epoch), default=0)
        return accuracy > best_before, self._reconsider(since)

    def _reconsider(self, since: int) -> bool:
        before = [-1.0, *self.accuracies]
        rises = sum(before[epoch + 1] > before[epoch] for epoch in range(since, len(self.accuracies)))
        best = max(self.accuracies)
        stalled = not self._halved and best == self._best_then
        self._halved = rises < 0.75 * (len(self.accuracies) - since) or stalled
        self._best_then = best
        if self._halved:
            self.current /= 2
        return self._halved
