"""A short training loop, and how often a network is right."""

import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from prunekit.classroom.data import ImageSet
from prunekit.network.augmenting import shift_and_flip

__all__ = ["accuracy", "train"]


@torch.no_grad()
def accuracy(model: nn.Module, data: ImageSet, batch_size: int = 250) -> float:
    """Percentage of ``data`` whose label is the network's largest output; the mode is restored."""
    was_training = model.training
    model.eval()
    try:
        right = sum(
            (model(inputs).argmax(1) == labels).sum().item()
            for inputs, labels in data.batches(batch_size)
        )
    finally:
        model.train(was_training)
    return 100 * right / len(data)


def train(
    model: nn.Module,
    data: ImageSet,
    *,
    epochs: int,
    lr: float = 0.2,
    batch_size: int = 128,
    weight_decay: float = 5e-4,
    augment: bool = True,
    bfloat16: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> list[float]:
    """Train ``model`` in place by SGD with momentum 0.9 and a one-cycle learning rate.

    Parameters
    ----------
    data : images and labels to learn from
    epochs : passes over the data
    lr : the highest learning rate of the cycle
    augment : shift and flip images (`shift_and_flip`)
    bfloat16 : compute forward and backward passes in bfloat16 (fast on recent processors)
    seed : order of the images and their augmentation

    Returns
    -------
    The mean training loss of each epoch. The model is left in eval mode.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        model.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=weight_decay
    )
    steps = -(-len(data) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=epochs * steps)
    model.to(memory_format=torch.channels_last).train()
    losses = []
    with tqdm(total=epochs * steps, desc="training", disable=not progress) as bar:
        for epoch in range(epochs):
            total = 0.0
            for ids in torch.randperm(len(data), generator=generator).split(batch_size):
                images = data.images[ids]
                if augment:
                    images = shift_and_flip(images, generator)
                inputs = data.normalize(images).contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                    loss = F.cross_entropy(model(inputs), data.labels[ids])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(ids)
                bar.update()
            losses.append(total / len(data))
            bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}")
    model.to(memory_format=torch.contiguous_format).eval()
    return losses
