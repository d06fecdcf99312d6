"""Train on a Ray cluster: `python -m realesrgan_train.ray run.yaml --workers 8`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import click

try:
    import ray
except ModuleNotFoundError as error:
    kind = SystemExit if __name__ == "__main__" else ImportError
    raise kind("error: a Ray cluster needs the package ray: pip install ray") from error
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from realesrgan_train.cli.shared import reported_errors
from realesrgan_train.config import RunConfig, load_config
from realesrgan_train.engine import Trainer, process_group
from realesrgan_train.errors import TrainError


class _Worker:
    """One process of the run."""

    def place(self) -> tuple[str, list[int | str], str, int]:
        """Node, the GPUs that are given to this, address and a port that is free there."""
        host = ray.util.get_node_ip_address()
        with socket.create_server((host, 0)) as probe:
            node = ray.get_runtime_context().get_node_id()
            return node, ray.get_gpu_ids(), host, probe.getsockname()[1]

    def train(self, config: RunConfig, folder: Path, variables: dict[str, str]) -> None:
        """Train with the variables that torchrun would set."""
        os.chdir(folder)
        os.environ.update(variables)
        with process_group(config.execution.device) as group:
            Trainer(config, group).run()


def _attempt(config: RunConfig, count: int, options: dict[str, Any]) -> None:
    """Run to the end, or until a worker fails; none is left. Each sees its node's workers' GPUs."""
    workers = [ray.remote(_Worker).options(**options).remote() for _ in range(count)]
    try:
        places = ray.get([worker.place.remote() for worker in workers])
        nodes, (_, _, host, port) = [node for node, *_ in places], places[0]
        shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": host, "MASTER_PORT": str(port)}
        waiting = []
        for rank, (worker, node) in enumerate(zip(workers, nodes, strict=True)):
            own = {"RANK": str(rank), "LOCAL_RANK": str(nodes[:rank].count(node))}
            gpus = [str(gpu) for other, given, *_ in places if other == node for gpu in given]
            own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
            waiting.append(worker.train.remote(config, Path.cwd(), shared | own))
        while waiting:
            done, waiting = ray.wait(waiting)
            ray.get(done)
    finally:
        for worker in workers:
            ray.kill(worker)


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--workers", type=click.IntRange(1), default=1, help="Processes of the run.")
@click.option("--cpus", type=click.FloatRange(0), default=1, help="CPUs of each.")
@click.option("--gpus", type=click.IntRange(0, 1), default=1, help="GPUs of each.")
@click.option("--max-restarts", type=click.IntRange(0), default=3, help="After lost workers.")
@reported_errors()
def main(config: str, workers: int, cpus: float, gpus: int, **given: Any) -> None:  # noqa: ANN401
    """Train on the Ray cluster of RAY_ADDRESS, or of this machine; go on when a worker is lost."""
    checked = load_config(config, given["overrides"])
    ray.init()
    group = ray.util.placement_group([{"CPU": cpus, "GPU": gpus}] * workers)
    click.echo(f"waiting for {workers} workers of {cpus:g} CPUs and {gpus} GPUs", err=True)
    ray.get(group.ready())
    place = PlacementGroupSchedulingStrategy(group)
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus, "scheduling_strategy": place}
    options["runtime_env"] = {"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}}  # as __main__ sets it
    for left in range(given["max_restarts"], -1, -1):
        try:
            _attempt(checked, workers, options)
            break
        except RayError as error:
            if isinstance(error, RayTaskError) and isinstance(error.cause, TrainError):
                raise error.cause from error  # the run's own, which would come again
            if not left:
                raise TrainError("a worker failed again: Ray says above why") from error
            click.echo(f"a worker failed: all start again, {left} restarts left", err=True)
    click.echo(f"weights: {checked.run_dir / 'weights'}")


if __name__ == "__main__":
    main()
