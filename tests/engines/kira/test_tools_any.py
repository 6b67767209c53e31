"""Any calls in any order: whatever is passed is answered, what is refused changes nothing, and a restore shows nowhere."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.codec import decode, encode
from holdfast.engines.kira import Kira
from holdfast.engines.kira.tools.arguments import MAX_DEPTH
from holdfast.engines.kira.tools.registry import ToolBox
from tests.engines.kira.listening import Heard
from tests.engines.kira.tool_cases import CASES
from tests.engines.kira.tooling import at_the_lens

ACTIONS = [(name, action) for name, fact in ToolBox.facts.items() for action in fact.actions]


def nested(levels: int) -> Any:
    """1 in so many lists."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


odd = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([2**63, 10**400, 10**6])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["kira", "teaching", "yes", "z > 0.1", "e+|NP0|t4", "Φ×|*|celestial", "owner/name", "request-0001"])
    | st.binary(max_size=3)
    | st.builds(nested, st.integers(1, MAX_DEPTH + 1))
)
anything = st.recursive(
    odd,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.sampled_from(["tool", "value", "version"]), inner, max_size=3)
        | st.dictionaries(st.integers(0, 3), inner, max_size=1)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    tool, action = draw(st.sampled_from(ACTIONS))
    takes = ToolBox.facts[tool].tool.action(action).types
    names = draw(st.lists(st.sampled_from([*takes, "other"]), unique=True))
    return tool, action, {name: draw(anything) for name in names}


KNOWN = [(case.tool, call) for case in CASES for call in [*case.calls, case.refused]]


@st.composite
def almost_known_calls(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """A call that makes sense, but for one argument."""
    tool, call = draw(st.sampled_from(KNOWN))
    arguments = {name: value for name, value in call.items() if name != "action"}
    if arguments:
        arguments[draw(st.sampled_from(sorted(arguments)))] = draw(anything)
    return tool, call.get("action", ToolBox.facts[tool].tool.default_action), arguments


def taken_back(engine: Kira) -> Kira:
    """Another engine with the state that this one gives out."""
    other = Kira()
    stored: Any = decode(encode(engine.state_dict()))
    other.load_state_dict(stored)
    assert other.state_dict() == engine.state_dict()
    return other


ENGINE = at_the_lens(seed=1)


@given(call=calls() | almost_known_calls())
def test_whatever_a_tool_is_called_with_it_answers(call: tuple[str, str, dict[str, Any]]) -> None:
    tool, action, arguments = call
    before = ENGINE.state_dict()
    answer = ENGINE.invoke_tool(tool, action=action, **arguments)
    encode(answer)
    if "error" in answer:
        assert isinstance(answer["error"], str)
        assert ENGINE.state_dict() == before
    else:
        taken_back(ENGINE)


LOG = {"action": "log", "event": "x"}
CONFIGURE = {"action": "configure", "repository": "a/b", "workflow": "w"}
KEEPING: dict[tuple[str, str], Callable[[Any], dict[str, Any]]] = {
    ("coordinate_logger", "log"): lambda value: {"event": "x", "metadata": {"a": value}},
    ("collective_memory_sync", "store"): lambda value: {"key": "k", "value": value},
    ("collective_memory_sync", "merge"): lambda value: {"memories": {"k": {"value": value}}},
    ("shed_builder_v2", "create"): lambda value: {
        "name": "x",
        "steps": [{"tool": "coordinate_logger", "arguments": {**LOG, "metadata": {"a": value}}}],
    },
    ("cloud_training", "dispatch"): lambda value: {"inputs": {"a": value}},
}
"""The actions that keep any plain value, with a call that has it keep one."""
NOT_KEEPING = {("state_transfer", "verify"), ("cross_instance_messenger", "encode")}


def test_these_are_all_the_actions_that_take_any_value() -> None:
    takes = {
        (tool, action)
        for tool, action in ACTIONS
        for hint in ToolBox.facts[tool].tool.action(action).types.values()
        if any(name in str(hint) for name in ("object", "Step]", "Incoming]"))
    }
    assert takes == KEEPING.keys() | NOT_KEEPING


@pytest.mark.parametrize(("tool", "action"), KEEPING)
def test_a_value_at_its_largest_depth_survives_a_restore(tool: str, action: str) -> None:
    call, deepest = KEEPING[tool, action], at_the_lens()
    for levels in range(MAX_DEPTH + 2):
        engine = at_the_lens()
        engine.invoke_tool("cloud_training", **CONFIGURE)
        answer = engine.invoke_tool(tool, action=action, **call(nested(levels)))
        if "error" in answer:
            break
        deepest = engine
    assert levels > MAX_DEPTH - 6
    assert f"too deep; {MAX_DEPTH} levels of lists and dicts are the most" in answer["error"]
    assert taken_back(deepest).state_dict() != at_the_lens().state_dict()


done = st.lists(
    st.sampled_from(KNOWN) | st.integers(1, 33) | st.sampled_from([0.3, 0.6, 0.8, 0.88, 0.95]) | st.just("/evolve 0.88"),
    min_size=2,
    max_size=12,
)


def carry_out(engine: Kira, step: Any) -> Any:
    if isinstance(step, float):
        return engine.move_to(step)
    if isinstance(step, int):
        return engine.run_module(step)
    return engine.execute(step) if isinstance(step, str) else engine.invoke_tool(step[0], **step[1])


@given(steps=done, seed=st.integers(0, 9), data=st.data())
def test_a_restore_between_any_two_steps_shows_nowhere(steps: list[Any], seed: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(steps)))
    heard, heard_broken = Heard(), Heard()
    unbroken, broken = Kira(seed=seed, listener=heard), Kira(seed=seed, listener=heard_broken)
    results = [carry_out(unbroken, step) for step in steps]
    results_broken = [carry_out(broken, step) for step in steps[:at]]
    stored: Any = decode(encode(broken.state_dict()))
    broken = Kira(listener=heard_broken)
    broken.load_state_dict(stored)
    results_broken += [carry_out(broken, step) for step in steps[at:]]
    assert results_broken == results
    assert heard_broken.all == heard.all
    assert broken.state_dict() == unbroken.state_dict()
