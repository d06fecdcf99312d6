"""What `tools/wine_tests.py` reads from a run of the C++ tests; it needs no Wine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import script_modules

ROOT = Path(__file__).parents[2]
REPORT = """<testsuite>
<testcase name="samples" status="run"><system-out>passed  one (0.1 s)
skipped two: no device
skipped three: no device
skipped four: no memory file
</system-out></testcase>
<testcase name="stream" status="fail"><failure message="1"/><system-out>passed  one (0.1 s)
FAILED  two: 3 is not 4
</system-out></testcase>
<testcase name="plan" status="fail"><failure message="died"/><system-out>passed  one (0.1 s)
</system-out></testcase>
<testcase name="vulkan_rings" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/>
<system-out>skipped one: no device
</system-out></testcase>
</testsuite>"""


@pytest.fixture(scope="module")
def wine_tests() -> Iterator[ModuleType]:
    yield from script_modules.load_tool("wine_tests")


def test_a_report_gives_each_test_with_its_reasons(wine_tests: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "tests.xml"
    report.write_text(REPORT, encoding="utf-8")
    results = wine_tests.read_results(report)
    found = {result.name: (result.outcome, result.notes) for result in results}
    assert found == {
        "samples": ("passed", ("2 skipped: no device", "1 skipped: no memory file")),
        "stream": ("FAILED", ("FAILED  two: 3 is not 4",)),
        "plan": ("FAILED", ("passed  one (0.1 s)",)),
        "vulkan_rings": ("skipped", ("1 skipped: no device",)),
    } | {name: ("not built", (reason,)) for name, reason in wine_tests.NOT_BUILT.items()}


def test_a_test_with_neither_result_nor_reason_is_found(wine_tests: ModuleType) -> None:
    sources = list((ROOT / "cpp" / "tests").glob("**/*.cpp"))
    tests = [path for path in sources if wine_tests.is_test(path)]
    text = (ROOT / "cpp" / "tests" / "CMakeLists.txt").read_text(encoding="utf-8")
    known = [wine_tests.Result(name, "passed") for name in wine_tests.NOT_BUILT]
    missing = wine_tests.missing_tests(known, tests)
    assert "stream" in missing
    assert not set(missing) & set(wine_tests.NOT_BUILT)
    assert all(name in text for name in missing)
