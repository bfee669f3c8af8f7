"""The shipped networks: how each one was trained, and how to load it.

Retrain one from scratch with ``python -m prunekit.classroom.pretrained NAME`` (or ``all``); measure
every one again, and rewrite the table in ``weights/README.md``, with ``--table``.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from prunekit.classroom import data, models, training
from prunekit.results.whole import whole

__all__ = ["RECIPES", "pretrained"]

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Recipe:
    """One shipped network: its architecture, its data and how it was trained."""

    build: Callable[[], nn.Module]
    dataset: str
    training: dict[str, object] = field(default_factory=dict)
    seed: int = 0


RECIPES = {
    "mlp-digits": Recipe(
        models.mlp, "digits", dict(epochs=30, lr=0.1, batch_size=32, augment=False)
    ),
    "small_cnn-shapes32": Recipe(
        models.small_cnn, "shapes32", dict(epochs=40, lr=0.1, bfloat16=True)
    ),
    "resnet20-shapes32": Recipe(models.resnet20, "shapes32", dict(epochs=15, bfloat16=True)),
    "resnet20-cifar10": Recipe(models.resnet20, "cifar10", dict(epochs=30, bfloat16=True)),
}


def _check_name(name: str) -> None:
    if name not in RECIPES:
        raise ValueError(f"name must be one of {', '.join(RECIPES)}, got {name!r}")


def pretrained(name: str) -> nn.Module:
    """A shipped network by name (``"resnet20-shapes32"``, …), in eval mode."""
    _check_name(name)
    model = RECIPES[name].build()
    model.load_state_dict(torch.load(FOLDER / f"{name}.pt", weights_only=True))
    return model.eval()


def retrain(name: str, progress: bool = True) -> nn.Module:
    """Train a shipped network again from its seed; nothing is written."""
    _check_name(name)
    recipe = RECIPES[name]
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = recipe.build()
    images = data.load(recipe.dataset, "train")
    training.train(model, images, seed=recipe.seed, progress=progress, **recipe.training)
    return model


def _save(model: nn.Module, name: str) -> None:
    with whole(FOLDER / f"{name}.pt") as file:
        torch.save(model.state_dict(), file)


def table() -> str:
    """The measured accuracy of every shipped network, as a Markdown table."""
    rows = [
        "| weights | data | test images | accuracy | parameters | epochs | seed |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, recipe in RECIPES.items():
        model, test = pretrained(name), data.load(recipe.dataset, "test")
        parameters = sum(p.numel() for p in model.parameters())
        accuracy = training.accuracy(model, test)
        rows.append(
            f"| `{name}` | {recipe.dataset} | {len(test):,} | {accuracy:.2f} % | {parameters:,} "
            f"| {recipe.training['epochs']} | {recipe.seed} |"
        )
    return "\n".join(rows)


def _rewrite_readme() -> None:
    path = FOLDER / "README.md"
    head, _, tail = path.read_text("utf-8").partition("<!-- table -->\n")
    tail = tail.partition("<!-- /table -->")[2]
    text = f"{head}<!-- table -->\n{table()}\n<!-- /table -->{tail}"
    with whole(path) as file:
        file.write(text.encode())


def main() -> None:
    parser = argparse.ArgumentParser(prog="prunekit.classroom.pretrained", description=__doc__)
    parser.add_argument("name", nargs="?", choices=[*RECIPES, "all"], help="what to train again")
    parser.add_argument("--table", action="store_true", help="measure all, rewrite README's table")
    args = parser.parse_args()
    if args.name is None and not args.table:
        parser.error("give a name, 'all', or --table")
    for name in RECIPES if args.name == "all" else filter(None, [args.name]):
        model = retrain(name)
        test = data.load(RECIPES[name].dataset, "test")
        _save(model, name)
        print(f"{name}: {training.accuracy(model, test):.2f} % of {len(test):,} test images")
    if args.table:
        _rewrite_readme()


if __name__ == "__main__":
    main()
