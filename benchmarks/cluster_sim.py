"""Pictures on 1 to 10,000 workers, simulated: throughput, stragglers, cost, and what breaks first.

    python benchmarks/cluster_sim.py [--pictures 1000000] [--json FILE]

It is a simulation of events fed with measured times, not a measurement of a cluster. The model is
`realesrgan_vk.batch.ray`: one driver hands pictures to workers, which have a few in work, read the
source from shared storage, compute, and write the result there. A lost worker is replaced after a
while, and the pictures that it had are done again.

- A picture's time on a worker has a log-normal distribution around the mean; a share of the workers
  is slower by a factor for as long as it lives (another GPU, a neighbour on the machine).
- The driver is one server: each picture takes its processor time.
- The storage is one server for all bytes: a result is written when those before it are.
- Workers are lost at random, at a constant rate.

Measured are `picture` (realesrgan-x4plus on 1280 x 720 pixels, `results/gpu-h100.md`) and `driver`
and `start` (`ray_overhead.py`); the others are assumptions, and options of the program.
"""

import argparse
import heapq
import itertools
import json
import math
import random
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

WORKERS = (1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Model:
    """What a cluster is made of; times in seconds.

    Attributes:
        pictures: How many there are.
        picture: Mean time of one on a worker.
        spread: Standard deviation of the logarithm of a picture's time.
        slow_share: Share of workers that are slow.
        slow_factor: How many times as long a slow one takes.
        driver: Processor time of the driver for each picture.
        start: Until a new worker has its network.
        replace: Until a lost worker's place is taken, without its start.
        in_work: Pictures that a worker has at a time.
        lost_an_hour: Workers lost, of one worker in an hour.
        megabytes: Of a source and its result together.
        storage: Megabytes a second that the storage takes from all workers.
        price: Of a worker for an hour.
    """

    pictures: int = 1_000_000
    picture: float = 0.49
    spread: float = 0.5
    slow_share: float = 0.02
    slow_factor: float = 3.0
    driver: float = 0.0017
    start: float = 6.0
    replace: float = 60.0
    in_work: int = 4
    lost_an_hour: float = 0.01
    megabytes: float = 27.0
    storage: float = 10_000.0
    price: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What a run took.

    Attributes:
        workers: How many there were.
        hours: Until the last picture is written.
        pictures_a_second: Over the whole run.
        efficiency: Of the workers' time, the share that ideal workers would need.
        tail_minutes: From the moment when no picture is left to hand out to the end.
        lost_workers: How many were lost.
        done_again: Pictures that were in work on a lost worker.
        driver_busy: Share of the time that the driver is busy.
        storage_busy: Share of the time that the storage is busy.
        cost: Of all workers' time.
        limit: What holds the run up most.
    """

    workers: int
    hours: float
    pictures_a_second: float
    efficiency: float
    tail_minutes: float
    lost_workers: int
    done_again: int
    driver_busy: float
    storage_busy: float
    cost: float
    limit: str


class _Worker:
    """A worker's place in the cluster; a lost worker is followed by another one.

    Attributes:
        generation: How many workers the place has had before.
        ready: Its network is loaded.
        factor: How many times as long as others it takes.
        has: Pictures that it has been given, or that are on their way, until they are written.
        waiting: Those of them that it has not begun.
        busy: It computes.
    """

    __slots__ = ("busy", "factor", "generation", "has", "ready", "waiting")

    def __init__(self) -> None:
        self.generation = 0
        self.lose()

    def lose(self) -> None:
        """Forget all that the worker had."""
        self.ready = self.busy = False
        self.factor = 1.0
        self.has = self.waiting = 0


class _Run:
    """One simulation: events in the order of their times."""

    def __init__(self, model: Model, workers: int, seed: int) -> None:
        self._model = model
        self._random = random.Random(seed)
        self._workers = [_Worker() for _ in range(workers)]
        self._order = itertools.count()  # equal times are taken in the order of their making
        self._events: list[tuple[float, int, str, _Worker, int]] = []
        self._mean = math.log(model.picture) - model.spread**2 / 2
        self._driver_free = self._storage_free = 0.0
        self._left = model.pictures
        self.done = self.again = self.lost = 0
        self.handed_out = self.end = 0.0
        for worker in self._workers:
            self._begin(0.0, worker)

    def step(self) -> None:
        """Take the next event."""
        now, _, what, worker, generation = heapq.heappop(self._events)
        if generation != worker.generation:  # of a worker that is lost
            return
        getattr(self, f"_{what}")(now, worker)

    def _push(self, at: float, what: str, worker: _Worker) -> None:
        event = (at, next(self._order), what, worker, worker.generation)
        heapq.heappush(self._events, event)

    def _begin(self, now: float, worker: _Worker) -> None:
        model = self._model
        if self._random.random() < model.slow_share:
            worker.factor = model.slow_factor
        self._push(now + model.start, "loaded", worker)
        if model.lost_an_hour:
            self._push(now + self._random.expovariate(model.lost_an_hour / 3600), "gone", worker)

    def _loaded(self, now: float, worker: _Worker) -> None:
        worker.ready = True
        self._hand_out(now, worker)

    def _hand_out(self, now: float, worker: _Worker) -> None:
        """Give a worker what it may have; each picture comes when the driver has handed it out."""
        while self._left and worker.has < self._model.in_work:
            self._left -= 1
            worker.has += 1
            self._driver_free = max(now, self._driver_free) + self._model.driver
            self.handed_out = self._driver_free
            self._push(self._driver_free, "given", worker)

    def _given(self, now: float, worker: _Worker) -> None:
        worker.waiting += 1
        self._compute(now, worker)

    def _compute(self, now: float, worker: _Worker) -> None:
        if worker.busy or not worker.waiting:
            return
        worker.busy = True
        worker.waiting -= 1
        seconds = self._random.lognormvariate(self._mean, self._model.spread) * worker.factor
        self._push(now + seconds, "computed", worker)

    def _computed(self, now: float, worker: _Worker) -> None:
        worker.busy = False
        seconds = self._model.megabytes / self._model.storage
        self._storage_free = max(now, self._storage_free) + seconds
        self._push(self._storage_free, "written", worker)
        self._compute(now, worker)

    def _written(self, now: float, worker: _Worker) -> None:
        worker.has -= 1
        self.done += 1
        self.end = now
        self._hand_out(now, worker)

    def _gone(self, now: float, worker: _Worker) -> None:
        self.lost += 1
        self.again += worker.has
        self._left += worker.has
        worker.generation += 1
        worker.lose()
        self._begin(now + self._model.replace, worker)
        for other in self._workers:  # those that have nothing to do take its pictures
            if not self._left:
                break
            if other.ready and not other.has:
                self._hand_out(now, other)


def simulate(model: Model, workers: int, seed: int = 0) -> Outcome:
    """Run all pictures through so many workers."""
    run = _Run(model, workers, seed)
    while run.done < model.pictures:
        run.step()
    pictures = model.pictures + run.again
    driver = pictures * model.driver / run.end
    storage = model.pictures * model.megabytes / model.storage / run.end
    efficiency = model.pictures * model.picture / (workers * run.end)
    return Outcome(
        workers=workers,
        hours=run.end / 3600,
        pictures_a_second=model.pictures / run.end,
        efficiency=efficiency,
        tail_minutes=(run.end - run.handed_out) / 60,
        lost_workers=run.lost,
        done_again=run.again,
        driver_busy=driver,
        storage_busy=storage,
        cost=workers * run.end / 3600 * model.price,
        limit=_limit(driver, storage, efficiency),
    )


def _limit(driver: float, storage: float, efficiency: float) -> str:
    if max(driver, storage) > 0.9:
        return "driver" if driver > storage else "storage"
    return "workers" if efficiency > 0.8 else "start and tail"


def main() -> None:
    """Simulate all sizes, print a table, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    defaults = Model()
    for name, value in asdict(defaults).items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=type(value), default=value, help=f"default: {value}")
    parser.add_argument("--workers", type=int, nargs="+", default=list(WORKERS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = vars(parser.parse_args())
    model = replace(defaults, **{name: given[name] for name in asdict(defaults)})
    outcomes = []
    print("| workers | time | pictures/s | efficiency | tail | lost | again | cost | limit |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for workers in given["workers"]:
        one = simulate(model, workers, given["seed"])
        outcomes.append(asdict(one))
        print(
            f"| {workers:,} | {one.hours:.2f} h | {one.pictures_a_second:.1f} | "
            f"{one.efficiency:.0%} | {one.tail_minutes:.1f} min | {one.lost_workers} | "
            f"{one.done_again} | {one.cost:.0f} | {one.limit} |"
        )
        sys.stdout.flush()
    if given["json"]:
        report = {"model": asdict(model), "seed": given["seed"], "outcomes": outcomes}
        given["json"].write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
