"""The errors a user can cause, with a message saying what to do and the command's exit code."""

from __future__ import annotations


class TrainError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class ConfigError(TrainError, ValueError):
    """The configuration, or an argument, is wrong: nothing was started."""

    exit_code = 2


class DataError(TrainError):
    """Pictures are missing, unreadable or do not fit each other."""

    exit_code = 3


class CheckpointError(TrainError, ValueError):
    """A checkpoint or weights file is damaged or belongs to another network or run."""

    exit_code = 4


class TrainingStopped(TrainError):  # noqa: N818 - an outcome, named as one
    """A guard ended the run: non-finite numbers, discriminator collapse or colour drift."""

    exit_code = 5
