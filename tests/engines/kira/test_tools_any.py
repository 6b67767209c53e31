"""Any calls in any order: whatever is passed is answered, what is refused changes nothing, and a restore shows nowhere."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.codec import decode, encode
from holdfast.engines.kira import Kira
from holdfast.engines.kira.tools.registry import ToolBox
from tests.engines.kira.listening import Heard
from tests.engines.kira.tool_cases import CASES
from tests.engines.kira.tooling import at_the_lens

ACTIONS = [(name, action) for name, fact in ToolBox.facts.items() for action in fact.actions]

odd = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([2**63, 10**400, 10**6])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["kira", "teaching", "yes", "z > 0.1", "e+|NP0|t4", "Φ×|*|celestial", "owner/name", "request-0001"])
    | st.binary(max_size=3)
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


ENGINE = at_the_lens(seed=1)


@given(call=calls())
def test_whatever_a_tool_is_called_with_it_answers(call: tuple[str, str, dict[str, Any]]) -> None:
    tool, action, arguments = call
    before = ENGINE.state_dict()
    answer = ENGINE.invoke_tool(tool, action=action, **arguments)
    encode(answer)
    if "error" in answer:
        assert isinstance(answer["error"], str)
        assert ENGINE.state_dict() == before


KNOWN = [(case.tool, call) for case in CASES for call in [*case.calls, case.refused]]

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
