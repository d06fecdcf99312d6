"""Help and usage errors of the commands: options in groups, examples, and what was meant."""

import difflib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

MESSAGES = "Messages"
_COLUMN = 28  # of the options' names
_RANGE = re.compile(r"\s+\[[^\]]*[<>]=?[^\]]*\]$")


class Option(click.Option):
    """An option that the help shows under a heading."""

    def __init__(self, *args: Any, group: str = MESSAGES, **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **attributes)
        self.group = group

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Name and description, in which the option's words say the range."""
        record = super().get_help_record(ctx)
        return record and (record[0], _RANGE.sub("", record[1]))


class Command(click.Command):
    """A command whose help has its options in groups, in their order, and examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **attributes: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(*args, **attributes)
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then a list of options a group."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                groups.setdefault(getattr(parameter, "group", MESSAGES), []).append(record)
        width = min(_COLUMN, max(len(names) for rows in groups.values() for names, _ in rows))
        for heading, rows in groups.items():
            with formatter.section(heading):
                # Padded, so that all groups have columns of one width.
                padded = [(names.ljust(width), text) for names, text in rows]
                formatter.write_dl(padded, col_max=_COLUMN)


class Group(click.Group):
    """Commands in the order they were added; another word is answered with what was meant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command.

        Raises:
            click.UsageError: There is none of that name.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            commands = self.list_commands(ctx)
            if close := difflib.get_close_matches(name, commands, 1):
                meant = f"did you mean '{close[0]}'?"
            elif Path(name).suffix or Path(name).exists() or Path(name).name != name:
                meant = f"to upscale it: {ctx.info_name} upscale {shlex.join(args)}"
            else:
                meant = f"the commands are {', '.join(commands)}"
            ctx.fail(f"no command {name!r}; {meant}")
        return super().resolve_command(ctx, args)
