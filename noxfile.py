"""Sessions for contributors, `nox -s lint tests bench`; the work itself is in the Makefile."""

import nox

nox.options.sessions = ["lint", "tests"]


def _make(session: nox.Session, target: str) -> None:
    session.run("make", target, f"VENV={session.create_tmp()}/venv", external=True)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Ruff, clang-format and mypy over the three distributions."""
    _make(session, "lint")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """C++, Python, training and export tests."""
    _make(session, "test")


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """The timing table of the README."""
    _make(session, "bench")
