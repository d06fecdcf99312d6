"""A progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressReport:
    """Tells the user how far a run is, on stderr; silent on processes other than the main one.

    Args:
        total: Steps of the run.
        active: Whether this is the main process.
    """

    def __init__(self, total: int, active: bool) -> None:
        self.total, self.active = total, active
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if active and self.console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=self.console,
            )

    def __enter__(self) -> ProgressReport:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def begin(self, done: int) -> None:
        """Show the bar; `done` steps do not count for its speed."""
        if self._progress is not None:
            self._task = self._progress.add_task("", total=self.total, completed=done, figures="")

    def advance(self, step: int, stage: str) -> None:
        """Move the bar."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=step, description=stage)

    def figures(self, step: int, stage: str, values: dict[str, float]) -> None:
        """Show the latest figures."""
        if not self.active:
            return
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, figures=text)
        else:
            self.message(f"{stage} step {step}  {text}")

    def message(self, text: str) -> None:
        """One line above the bar."""
        if self.active:
            self.console.print(text, markup=False)
