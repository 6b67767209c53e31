"""However long an engine is used, what its tools remember stays small."""

from typing import Any

from holdfast.codec import canonical, encode
from holdfast.engines.kira import Kira
from tests.engines.kira.tool_cases import CASES
from tests.engines.kira.tooling import at_the_lens


def size(engine: Kira) -> int:
    return len(canonical(encode(engine.tools.state_dict())))


def varied(value: Any, number: int) -> Any:
    """A call's arguments with other names, so that each call is a new one."""
    if isinstance(value, dict):
        return {
            key: item if key in ("action", "tool", "answer", "condition") else varied(item, number)
            for key, item in value.items()
        }
    return f"{value}-{number}" if isinstance(value, str) else value


def test_thousands_of_calls_leave_the_tools_as_small_as_hundreds() -> None:
    engine = at_the_lens(seed=1)
    sizes = []
    for number in range(1, 601):
        for case in CASES:
            for call in case.calls:
                engine.invoke_tool(
                    case.tool, **(call if case.tool in ("cloud_training", "token_index") else varied(call, number))
                )
        if number in (300, 600):
            sizes.append(size(engine))
    assert sizes[1] <= sizes[0] + 300  # counts have a digit more
    assert sizes[1] <= 40_000
