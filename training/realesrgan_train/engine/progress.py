"""A progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressReport:
    """Tells the user, on stderr, how many of the steps are done; silent unless active."""

    def __init__(self, total: int, active: bool) -> None:
        self.total, self.active = total, active
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self.console,
            disable=not (active and self.console.is_terminal),
        )

    def begin(self, done: int) -> None:
        """Show the bar; `done` steps do not count for its speed."""
        self._task = self.bar.add_task("", total=self.total, completed=done, figures="")

    def advance(self, step: int, stage: str) -> None:
        """Move the bar."""
        self.bar.update(self._task, completed=step, description=stage)

    def figures(self, step: int, stage: str, values: dict[str, float]) -> None:
        """Show the latest figures."""
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        if self.bar.disable:
            self.message(f"{stage} step {step}  {text}")
        else:
            self.bar.update(self._task, figures=text)

    def message(self, text: str) -> None:
        """One line above the bar."""
        if self.active:
            self.console.print(text, markup=False)
