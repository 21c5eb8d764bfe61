"""The authors' rounds of VBFL and FedAvg, written again in plain PyTorch, beside runs of Fedstake.

    python benchmarks/vbfl_replica.py --data DIR [--protocol vbfl|fedavg] [--rounds 10] [--seed 0]
                                      [--malicious 3] [--threshold 0.08]

Nothing here uses the product's training, votes, aggregation or blocklist: one torch.nn.Module after
the other, autograd, torch.optim.SGD, a plain mean. Only what chance decides is taken from the run:
who holds which samples, the first weights, the order of batches, roles, noise. Both must then give
the same accuracies and accept the same updates; any other gap to the authors' runs lies in how
these are drawn. DIR holds mnist/t10k-*-ubyte.gz. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments import load_scenario
from sim.training.game import TrainingGame
from sim.training.protocol import TrainingProtocol
from sim.world import World


@dataclass
class Local:
    """The training and testing of one network, as every device of the authors' does it."""

    net: nn.Module
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    learning_rate: float = 0.01
    batch_size: int = 10

    def train(self, start: Tensor, orders: list[np.ndarray]) -> Tensor:
        """Return the weights `[P]` after one epoch of SGD for each order of samples."""
        nn.utils.vector_to_parameters(start.clone(), self.net.parameters())
        optimiser = torch.optim.SGD(self.net.parameters(), lr=self.learning_rate)
        for order in orders:
            for batch in torch.from_numpy(order).split(self.batch_size):
                optimiser.zero_grad()
                functional.cross_entropy(self.net(self.x[batch]), self.y[batch]).backward()
                optimiser.step()
        return nn.utils.parameters_to_vector(self.net.parameters()).detach().clone()

    @torch.no_grad()
    def accuracy(self, weights: Tensor) -> float:
        """Return the mean accuracy of batches of 100 test samples."""
        nn.utils.vector_to_parameters(weights, self.net.parameters())
        batches = zip(self.x_test.split(100), self.y_test.split(100), strict=True)
        hits = [(self.net(x).argmax(1) == y).float().mean() for x, y in batches]
        return float(torch.stack(hits).mean())

    def disturb(self, weights: Tensor, rng: np.random.Generator, scale: float = 1.0) -> Tensor:
        """Return weights with normal noise on every tensor that is not a bias."""
        disturbed = weights.clone()
        at = 0
        for name, p in self.net.named_parameters():
            if not name.endswith("bias"):
                noise = rng.standard_normal(p.numel(), dtype=np.float32)
                disturbed[at : at + p.numel()] += scale * torch.from_numpy(noise)
            at += p.numel()
        return disturbed


@dataclass
class Replica:
    """Rounds of all devices. `world` says what chance decides, and nothing else."""

    world: World
    local: Local
    threshold: float = 1.0
    knock_out_rounds: int = 6
    rejected: dict[int, list[int]] = field(default_factory=dict)
    """By worker the rounds in which most validators voted against it."""
    blocked: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        game = game_of(self.world)
        self.streams, self.epochs = game.streams, game.scenario.training.epochs
        self.shards = game.bench.split.train
        self.model = torch.from_numpy(game.bench.engine.initial())
        self.malicious = {p.device for p in game.population if p.adversary}

    def update(self, device: int, number: int) -> Tensor:
        """Return what a worker sends in round `number`."""
        orders = self._orders("training", device, number, self.epochs)
        trained = self.local.train(self.model, orders)
        if device not in self.malicious:
            return trained
        rng = self.streams.rng("adversary.worker", device, number)
        return self.local.disturb(trained, rng)

    def _orders(self, purpose: str, device: int, number: int, epochs: int) -> list[np.ndarray]:
        rng = self.streams.rng(purpose, device, number)
        return [rng.permutation(self.shards[device]) for _ in range(epochs)]

    def fedavg_round(self, number: int) -> list[int]:
        """Let every device train, and average; return whose updates count."""
        updates = [self.update(device, number) for device in range(len(self.shards))]
        self.model = torch.stack(updates).mean(0)
        return list(range(len(self.shards)))

    def vbfl_round(self, number: int, workers: list[int], validators: list[int]) -> list[int]:
        """Let workers train, validators vote, and average; return whose updates count."""
        workers = [w for w in workers if w not in self.blocked]
        validators = [v for v in validators if v not in self.blocked]
        updates = {w: self.update(w, number) for w in workers}
        measured = {w: self.local.accuracy(update) for w, update in updates.items()}
        baselines = []
        for v in validators:
            trained = self.local.train(self.model, self._orders("baseline", v, number, 1))
            baselines.append(self.local.accuracy(trained))
        for w in workers:
            negative = sum(measured[w] - own < -self.threshold - 1e-6 for own in baselines)
            if 2 * negative > len(baselines):
                self._reject(w, number)
        usable = [w for w in workers if number not in self.rejected.get(w, [])]
        usable = [w for w in usable if w not in self.blocked]
        if usable:
            self.model = torch.stack([updates[w] for w in usable]).mean(0)
        return usable

    def _reject(self, worker: int, number: int) -> None:
        """Note a rejection; one in every one of some consecutive rounds shuts the worker out."""
        rounds = self.rejected.setdefault(worker, [])
        rounds.append(number)
        if sum(r > number - self.knock_out_rounds for r in rounds) == self.knock_out_rounds:
            self.blocked.add(worker)


def game_of(world: World) -> TrainingGame:
    """Return the services of a world whose protocol trains."""
    assert isinstance(world.protocol, TrainingProtocol)
    return world.protocol.game


def perceptron() -> nn.Module:
    """Return the authors' mnist_2nn on images."""
    sizes = [nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)]
    return nn.Sequential(nn.Flatten(), *sizes)


def replica_of(world: World, net: nn.Module, **more: float) -> Replica:
    """Return the replica of a world that has not played yet; `net` is its model, any weights.

    `more` are the threshold and, where it is another than the authors', `knock_out_rounds`.
    """
    data, training = game_of(world).bench.dataset, game_of(world).scenario.training
    arrays = (data.x_train, data.y_train, data.x_test, data.y_test)
    x, y, x_test, y_test = (torch.tensor(array) for array in arrays)
    local = Local(net, x, y, x_test, y_test, training.learning_rate, training.batch_size)
    return Replica(world, local, **more)  # type: ignore[arg-type]


def play_both(world: World, replica: Replica) -> Iterator[dict[str, float]]:
    """Play round by round; yield number, both accuracies, and in how many updates they differ."""
    for number in world.run():
        people = pd.DataFrame(world.kernel.recorder.columns("participants"))
        people = people[people["round"] == number]
        seats = {role: rows["device"].tolist() for role, rows in people.groupby("role")}
        if world.kernel.scenario.protocol == "vbfl":
            counted = replica.vbfl_round(number, seats["worker"], seats["validator"])
        else:
            counted = replica.fedavg_round(number)
        accepted = people[people["accepted"].fillna(False).astype(bool)]["device"]
        yield {
            "round": number,
            "fedstake": world.kernel.recorder.columns("rounds")["accuracy"][-1],
            "replica": replica.local.accuracy(replica.model),
            "differ": len(set(accepted) ^ set(counted)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--protocol", choices=("vbfl", "fedavg"), default="vbfl")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--malicious", type=int, default=3)
    parser.add_argument("--threshold", type=float, default=0.08)
    args = parser.parse_args()

    keys = {
        "rounds": args.rounds,
        "seed": args.seed,
        "data.dataset": "mnist-10k",
        "adversaries.0.count": args.malicious,
    }
    preset = args.protocol
    if preset == "vbfl":
        preset = "vbfl-published"
        keys["validation.params.threshold"] = args.threshold
    world = World(load_scenario(preset, keys), args.data)
    replica = replica_of(world, perceptron(), threshold=args.threshold)
    rows = []
    print(f"{'round':>5s} {'Fedstake':>9s} {'replica':>9s}  updates accepted by one only")
    for row in play_both(world, replica):
        rows.append(row)
        print(
            f"{row['round']:5d} {row['fedstake']:9.4f} {row['replica']:9.4f}  {row['differ']:.0f}"
        )
    print(json.dumps({"protocol": args.protocol, "seed": args.seed, "rounds": rows}))


if __name__ == "__main__":
    main()
