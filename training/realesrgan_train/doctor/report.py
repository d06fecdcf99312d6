"""What an examination found."""

from __future__ import annotations

from dataclasses import dataclass, field

from realesrgan_train.errors import TrainError

_SHOWN = 10


@dataclass(frozen=True)
class Finding:
    """What was found and where, with the exit code of the error class (0: a warning)."""

    message: str
    exit_code: int = 0


@dataclass
class Report:
    """Everything found, and what a step needs, memory and work, as lines."""

    findings: list[Finding] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)

    def error(self, error: TrainError) -> None:
        """Add an error that would stop the run."""
        self.findings.append(Finding(str(error), error.exit_code))

    def warn(self, message: str) -> None:
        """Add something that would not."""
        self.findings.append(Finding(message))

    def many(self, messages: list[str], exit_code: int) -> None:
        """Add several findings of a kind; beyond ten only their number."""
        self.findings.extend(Finding(message, exit_code) for message in messages[:_SHOWN])
        if len(messages) > _SHOWN:
            self.findings.append(Finding(f"... and {len(messages) - _SHOWN} more", exit_code))
