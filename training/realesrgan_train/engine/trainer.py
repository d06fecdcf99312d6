"""The training loop: one for both stages, for a fresh start and for a continued one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from realesrgan_train.config import RunConfig
from realesrgan_train.config.preflight import cautions, check_ready
from realesrgan_train.data.batches import (
    BatchDataset,
    TrainingBatch,
    batch_loader,
    cache_levels,
)
from realesrgan_train.data.cache import DecodedCache
from realesrgan_train.data.opening import data_changes, data_manifest, open_pairs, open_sources
from realesrgan_train.data.sampler import torch_seed
from realesrgan_train.engine.building import discriminator_caution
from realesrgan_train.engine.checkpoints import CheckpointStore
from realesrgan_train.engine.distributed import ProcessGroup
from realesrgan_train.engine.export import export_weights
from realesrgan_train.engine.measures import is_better, note_best, sheet_path, write_measures
from realesrgan_train.engine.progress import ProgressReport
from realesrgan_train.engine.run_folder import check_same_data, check_same_run, owned, save_config
from realesrgan_train.engine.run_log import RunLog
from realesrgan_train.engine.stages import GanStage
from realesrgan_train.engine.state import TrainingState
from realesrgan_train.engine.validation import ValidationSet, title_of, validate
from realesrgan_train.errors import DataError, TrainingStopped
from realesrgan_train.learned_metrics import configured_metrics
from realesrgan_train.losses.perceptual import check_perceptual
from realesrgan_train.signals import StopRequest, stop_on_signals

_STEP_STREAM = 6


@dataclass(frozen=True)
class RunResult:
    """Steps done, and whether these were all: a run that was interrupted can be continued."""

    step: int
    finished: bool


class Trainer:
    """A run in one process.

    Raises:
        ConfigError: The configuration cannot be run, or its folder holds another run.
        DataError: A source is missing.
        CheckpointError: Start weights do not fit, or no checkpoint can be read.
    """

    def __init__(self, config: RunConfig, group: ProcessGroup) -> None:
        check_ready(config)
        self._changes = check_same_run(config)
        if config.execution.threads:
            torch.set_num_threads(config.execution.threads)
        self.config, self.group = config, group
        data = config.data
        channels = config.network.channels
        cache = None
        if data.cache_mb:
            cache = DecodedCache(data.cache_mb << 20, data.cache_folder, channels)
        levels = cache_levels(data)
        self.pictures = open_sources(data.pictures, cache, levels, channels=channels)
        self.pairs = open_pairs(data.pairs, config.scale, cache, channels=channels)
        self.manifest = data_manifest(self.pictures, self.pairs)
        self.validation = self._open_validation()
        self.metrics = (
            configured_metrics(config.validation, group.device) if self.validation else {}
        )
        if group.is_first_on_node:
            check_perceptual(config)
        group.barrier()  # a download is done once a node
        self.state = TrainingState(config, group)
        self.store = CheckpointStore(config.run_dir / "checkpoints", config.checkpoint.keep, group)
        self.progress = ProgressReport(self.state.total_steps, group.is_main)
        self.log: RunLog
        self._damaged: set[str] = set()
        self._unreported: list[tuple[int, str]] = []
        self._timer = (time.monotonic(), 0)

    def _open_validation(self) -> ValidationSet | None:
        config = self.config.validation
        if not config.every or not (config.pictures or config.pairs):
            return None
        pictures = ValidationSet(
            config,
            self.config.scale,
            self.config.degradation,
            channels=self.config.network.channels,
        )
        pictures.check()
        return pictures

    def run(self) -> RunResult:
        """Train until all steps are done, a guard stops the run, or a signal does.

        Raises:
            TrainingStopped: A guard stopped the run (no rollback is configured, or it is used up).
        """
        with (
            owned(self.config.run_dir, self.group.is_main),
            self.progress.bar,
            stop_on_signals(self.group.world == 1) as stop,
        ):
            self.log = RunLog(self.config, self.group.is_main)
            try:
                self._begin()
                self._timer = (time.monotonic(), self.state.step)
                self.progress.begin(self.state.step)
                self._train(stop)
            finally:
                self.log.close()
        return RunResult(self.state.step, self.state.step >= self.state.total_steps)

    def _begin(self) -> None:
        """Continue from the newest checkpoint, or start."""
        found = self.store.load_newest(self._warn)
        if found is not None:
            check_same_data(self.config, self._changes, found[0]["data"], self.manifest)
        if self.group.is_main:
            save_config(self.config)
        for caution in cautions(self.config):
            self._warn(caution)
        if found is not None:
            self.state.load(*found)
            self._export()  # a kill may have come between the checkpoint and its export
            self._continue(found[0])
            return
        left = self.state.random_start
        if left:
            self._warn(f"{len(left)} tensors start at random, e.g. {left[0]}")
        if unmatched := discriminator_caution(self.config):
            self._warn(unmatched)
        self.log.event("start", 0, name=self.config.name, data=self.manifest)
        self._save()

    def _continue(self, main: dict[str, Any]) -> None:
        """Tell what is not as it was when the checkpoint was written."""
        step = self.state.step
        self.log.event("resume", step, changed=self._changes.advised, data=self.manifest)
        self.progress.message(f"continuing at step {step}")
        for change in self._changes.advised:
            self._warn(f"after a guard's advice: {change}")
        for change in self._changes.rescheduled:
            self._warn(change)
        if self._changes.moved:
            self.progress.message(
                "the pictures are at another place than before, and the same by their names and by "
                "a sample of their contents"
            )
        different = data_changes(main["data"], self.manifest)
        if different:
            self._warn(
                f"the data has changed since the checkpoint: {'; '.join(different)}. The run goes "
                "on, but is no longer the one that it would have been"
            )
        device = self.group.device.type
        before = main.get("device", device)  # an older checkpoint does not tell
        if before != device:
            self._warn(
                f"the run was on {before} before, and is on {device} now: results are close, but "
                "not equal to the bit"
            )
        if main["threads"] != torch.get_num_threads():
            self._warn(
                "another number of threads than before: results are close, but not equal to the bit"
            )

    def _train(self, stop: StopRequest) -> None:
        state = self.state
        batches = self._batches()
        self._tell_warmup()
        while state.step < state.total_steps and not stop.asked:
            if state.enter_stage():
                self.log.event("stage", state.step, stage=state.stage.name)
                self.progress.message(f"stage {state.stage.name} begins at step {state.step}")
                self._tell_warmup()
            self._one_step(batches)
            problem = self._after_step()
            if problem is not None:
                self._roll_back(problem)
                batches = self._batches()
        if stop.asked and state.step < state.total_steps:
            if state.is_finite():
                self._save()
            self.log.event("interrupted", state.step)
        elif state.step >= state.total_steps:
            self.log.event("finished", state.step)

    def _tell_warmup(self) -> None:
        left = self.state.stage.idle - self.state.stage_step
        if left > 0:
            self.progress.message(
                f"only the discriminator learns until step {self.state.step + left} "
                "(stages.gan.warmup_discriminator)"
            )

    def _batches(self) -> Iterator[TrainingBatch]:
        """Loaded micro-batches from the present step on."""
        state, accumulate = self.state, self.config.execution.accumulate
        dataset = BatchDataset(
            self.config,
            self.pictures,
            self.pairs,
            seed=state.seed,
            rank=self.group.rank,
            world=self.group.world,
        )
        return batch_loader(
            dataset,
            state.step * accumulate,
            state.total_steps * accumulate,
            pin_memory=self.group.device.type == "cuda",
        )

    def _one_step(self, batches: Iterator[TrainingBatch]) -> None:
        state, accumulate = self.state, self.config.execution.accumulate
        torch.manual_seed(torch_seed(state.seed, _STEP_STREAM, state.step, self.group.rank))
        prepared = []
        for micro in range(accumulate):
            batch = next(batches)
            self._note_damaged(batch.damaged)
            prepared.append(state.preparer.prepare(batch, state.step * accumulate + micro))
        figures = state.stage.train_step(prepared, state.stage_step, state.rate_factor)
        state.average.update(state.generator, state.stage.updater.averaged())
        state.step += 1
        state.logged.add(figures)
        state.guarded.add(figures)

    def _after_step(self) -> str | None:
        """Log, guard, save and measure when it is time; returns what a guard found."""
        state, config = self.state, self.config
        step, last = state.step, state.stage_step == state.stage.steps
        self.progress.advance(step, state.stage.name)
        if step % config.logging.every == 0 or last:
            self._log_figures()
        save = step % config.checkpoint.every == 0 or last
        if step % config.guards.every == 0 or save:
            figures = self.group.mean(state.guarded.take())
            problem = state.guards.check(figures, state.stage_step - state.stage.idle)
            if problem is None and save and not state.is_finite():
                problem = "a weight became infinite or not a number. Lower the learning rates"
            if problem is not None:
                return problem
        if save and (last or not state.guards.suspicious):
            self._save()
        if self.validation and (step % config.validation.every == 0 or last):
            self._validate(self.validation)
        return None

    def _log_figures(self) -> None:
        self._report_damaged()
        state, (since, before) = self.state, self._timer
        figures = self.group.mean(state.logged.take())
        now = time.monotonic()
        rate = (state.step - before) / max(now - since, 1e-9)
        self._timer = (now, state.step)
        self.log.event("step", state.step, stage=state.stage.name, steps_per_second=rate, **figures)
        shown = {k: v for k, v in figures.items() if "loss" in k}
        self.progress.figures(state.step, state.stage.name, shown)

    def _save(self) -> None:
        state = self.state
        main = {**state.main_state(), "data": self.manifest} if self.group.is_main else {}
        self.store.save(state.step, state.rollbacks, main, state.own_state())
        self.log.event("checkpoint", state.step)
        self._export()

    def _export(self) -> None:
        """Write the weights of the checkpoint just saved or loaded, for others to use."""
        if not self.group.is_main or not self.state.step:
            return
        stage, step = self.state.stage, self.state.step
        networks = {stage.name: self.state.average.network}
        if isinstance(stage, GanStage):
            networks["discriminator"] = stage.discriminator
        for name, network in networks.items():
            export_weights(network, self.config, self.manifest, name, step)

    def _validate(self, pictures: ValidationSet) -> None:
        samples = self.config.run_dir / "samples" / f"step-{self.state.step:09d}"
        step, folder, network = self.state.step, self.config.run_dir, self.state.average.network
        sheet = sheet_path(folder, step)
        try:
            means, each = validate(
                network,
                pictures,
                self.group,
                samples,
                self._warn,
                metrics=self.metrics,
                sheet=(sheet, f"{self.config.name}, step {step}"),
            )
        except DataError as error:  # pictures that vanished meanwhile must not end the run
            self._warn(str(error))
            return
        if self.group.is_main:
            write_measures(folder, step, means, each)
            if sheet.is_file():
                self.log.picture("validation/sheet", sheet, step)
            self._keep_best(means)
        self.log.event("validation", step, **means)
        learned = "".join(f"  {title_of(name)} {means[name]:.4f}" for name in self.metrics)
        self.progress.message(
            f"step {step}  PSNR(Y) {means['psnr_y']:.2f} dB "
            f"(bicubic {means['bicubic_psnr_y']:.2f})  SSIM(Y) {means['ssim_y']:.4f}{learned}"
        )

    def _keep_best(self, means: dict[str, float]) -> None:
        """Keep the weights that were just measured if they are the best so far."""
        measure, state = self.config.validation.best, self.state
        if measure is None:
            return
        if is_better(self.config.run_dir, measure, state.step, means[measure]):
            export_weights(state.average.network, self.config, self.manifest, "best", state.step)
            note_best(self.config.run_dir, measure, state.step, means[measure])
            self.progress.message(
                f"step {state.step}  best by {title_of(measure)} so far: weights/best.safetensors"
            )

    def _roll_back(self, problem: str) -> None:
        """Go back once to the last good checkpoint when asked; otherwise stop."""
        state = self.state
        if self.config.guards.action == "stop" or state.rollbacks:
            again = " after a rollback already" if state.rollbacks else ""
            self.log.event("stopped", state.step, reason=problem)
            raise TrainingStopped(
                f"stopped at step {state.step}{again}: {problem}. "
                f"The last good checkpoint is {self.store.names()[-1]}; the same command with "
                "what is advised here as key=value continues from it"
            )
        found = self.store.load_newest(self._warn)
        if found is None:
            raise TrainingStopped(f"stopped at step {state.step}: {problem}")
        failed_at = state.step
        state.go_back(*found)
        self.log.event("rollback", state.step, failed_at=failed_at, reason=problem)
        self._warn(
            f"step {failed_at}: {problem}. Going back once to step {state.step} at half the rate"
        )
        self._save()

    def _note_damaged(self, messages: list[str]) -> None:
        """Remember damaged pictures until the processes next talk; alone, tell at once."""
        self._unreported += [(self.state.step, message) for message in messages]
        if self.group.world == 1:
            self._report_damaged()

    def _report_damaged(self) -> None:
        """Tell of each damaged picture once, whichever process met it; another took its place."""
        for step, message in self.group.gather(self._unreported):
            if message not in self._damaged:
                self._damaged.add(message)
                self.log.event("damaged_picture", step, message=message)
                self._warn(f"damaged picture replaced by another: {message}")
        self._unreported.clear()

    def _warn(self, text: str) -> None:
        self.progress.message(f"warning: {text}")
