"""CPU seconds of one VBFL round beside a plain per-device torch loop.

    python benchmarks/vbfl_round.py --data DIR [--model mnist_2nn|mnist_cnn] [--rounds 8]
                                    [--epoch-log]

The round has 12/5/3 of 20 devices, published options and all tables. DIR holds
mnist/t10k-*-ubyte.gz. Rounds of the two alternate in one process on one thread. The plain loop does
only the numerics of the same round: every worker's and every baseline's training with nn.Module,
autograd and torch.optim.SGD, and each distinct test pass once (12 updates, 5 baselines, 1 global
model). Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

import torch
from measure import Stopwatch, bench, game, gflop, peak_gflops, write_tables
from torch import nn
from torch.nn import functional

from experiments import load_scenario
from sim.learning import models
from sim.threads import single_threaded
from sim.world import World


def plain_round(
    world: World,
    build: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    xt: torch.Tensor,
    yt: torch.Tensor,
) -> float:
    """Play the same training and test passes device by device; return CPU seconds."""
    s = world.kernel.scenario
    start = torch.tensor(bench(world).models[game(world).forks[0].model])
    began = time.process_time()
    trained = []
    for k in range(17):
        shard = torch.from_numpy(bench(world).split.train[k])
        nn.utils.vector_to_parameters(start.clone(), build.parameters())
        optimiser = torch.optim.SGD(build.parameters(), lr=s.training.learning_rate)
        for _ in range(s.training.epochs if k < 12 else 1):
            for batch in shard[torch.randperm(len(shard))].split(s.training.batch_size):
                optimiser.zero_grad()
                functional.cross_entropy(build(x[batch]), y[batch]).backward()
                optimiser.step()
        trained.append(nn.utils.parameters_to_vector(build.parameters()).detach().clone())
    trained.append(torch.stack(trained[:12]).mean(0))
    with torch.no_grad():
        for row in trained:
            nn.utils.vector_to_parameters(row, build.parameters())
            for xs, ys in zip(xt.split(100), yt.split(100), strict=True):
                (build(xs).argmax(1) == ys).sum().item()
    return time.process_time() - began


def alternate(world: World, build: nn.Module, rounds: int) -> tuple[list[float], list[float]]:
    """Play rounds of the world and of the plain loop in turn; return the CPU seconds of each."""
    data = bench(world).dataset
    sets = [torch.tensor(a) for a in (data.x_train, data.y_train, data.x_test, data.y_test)]
    ours, plain = [], []
    for _ in range(rounds):
        began = time.process_time()
        world.step()
        ours.append(time.process_time() - began)
        plain.append(plain_round(world, build, *sets))
        print(
            f"round {world.round_index}: fedstake {ours[-1]:.3f} s, plain loop {plain[-1]:.3f} s",
            flush=True,
        )
    return ours, plain


def count_gflop(world: World, build: nn.Module) -> float:
    """Return the floating-point operations of training and testing in a round, in units of 1e9."""
    sample = torch.tensor(bench(world).dataset.x_train[:1])
    epochs = world.kernel.scenario.training.epochs
    trained = (12 * epochs + 5) * len(bench(world).split.train[0])
    tested = 18 * len(bench(world).dataset.y_test)
    return trained * gflop(build, sample, train=True) + tested * gflop(build, sample, train=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data")
    parser.add_argument("--model", default="mnist_2nn")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument(
        "--epoch-log",
        action="store_true",
        help="also test every worker after every local epoch (48 more passes)",
    )
    args = parser.parse_args()
    single_threaded()

    overrides = {
        "data.dataset": "mnist-10k",
        "model.name": args.model,
        "adversaries.0.count": 3,
        "record.epoch_accuracy": args.epoch_log,
        "record.local_accuracy": True,
        "rounds": args.rounds + 1,
    }
    world = World(load_scenario("vbfl-published", overrides), args.data)
    training, testing = Stopwatch(), Stopwatch()
    training.wrap(bench(world).engine, "train")
    testing.wrap(bench(world).engine, "evaluate")
    build = models.create(args.model).build(
        bench(world).dataset.shape, bench(world).dataset.classes
    )
    world.step()  # warm up
    training.seconds = testing.seconds = 0.0
    ours, plain = alternate(world, build, args.rounds)
    recording = write_tables(world) / (args.rounds + 1)

    work = count_gflop(world, build)
    learning = (training.seconds + testing.seconds) / args.rounds
    ratios = [p / o for p, o in zip(plain, ours, strict=True)]
    peak = peak_gflops()
    mine = statistics.median(ours) + recording
    report = {
        "model": args.model,
        "trainer": bench(world).engine.trainer,
        "epoch_log": args.epoch_log,
        "rounds": args.rounds,
        "round_cpu_s_median": mine,
        "round_cpu_s_min": min(ours) + recording,
        "round_cpu_s_max": max(ours) + recording,
        "training_cpu_s": training.seconds / args.rounds,
        "testing_cpu_s": testing.seconds / args.rounds,
        "writing_tables_cpu_s": recording,
        "everything_else_cpu_s": statistics.mean(ours) - learning + recording,
        "plain_loop_cpu_s_median": statistics.median(plain),
        "plain_over_fedstake_ratio": statistics.median(ratios),
        "published_code_cpu_s": {"mnist_2nn": 7.4, "mnist_cnn": 154.0}.get(args.model),
        "round_gflop": work,
        "rate_gflop_per_s": work / mine,
        "matmul_peak_gflop_per_s": peak,
        "share_of_peak": work / mine / peak,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
