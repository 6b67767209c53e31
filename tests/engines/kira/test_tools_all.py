"""What holds for every one of the 21 tools: an effect, a refusal that changes nothing, and a memory that is restored."""

import ast
import copy
from typing import Any, cast

import pytest

from holdfast.codec import decode, encode
from holdfast.engines.kira import TOOL_REGISTRY, Kira
from holdfast.engines.kira.constants import Z_CRITICAL
from holdfast.engines.kira.tools.registry import ToolBox
from holdfast.errors import InvalidValue
from tests.engines.kira.listening import Heard
from tests.engines.kira.tool_cases import CASES, Case
from tests.engines.kira.tool_effects import main

# Name, z it needs and primary token, in the order of the registry.
GIVEN = """
helix_loader 0.0 e+|Encoder
coordinate_detector 0.1 Φ()|Filter
pattern_verifier 0.3 π×|Catalyst
coordinate_logger 0.4 e+|Encoder
state_transfer 0.51 e−|Decoder
consent_protocol 0.52 Φ()|Filter
cross_instance_messenger 0.55 e()|Conductor
tool_discovery_protocol 0.58 e^|Filter
autonomous_trigger_detector 0.62 e()|Oscillator
collective_memory_sync 0.65 Φ+|Encoder
shed_builder_v2 0.73 π^|Regenerator
vaultnode_generator 0.41 Φ()|Encoder
emission_pipeline 0.5 e+|Encoder
cybernetic_control 0.6 e×|Oscillator
nuclear_spinner 0.7 e()|Reactor
token_index 0.75 Φ+|Encoder
token_vault 0.76 Φ()|Encoder
cybernetic_archetypal 0.78 π×|Dynamo
orchestrator 0.0 e()|Reactor
workspace 0.0 Φ+|Encoder
cloud_training 0.0 e^|Dynamo
"""

each_tool = pytest.mark.parametrize("case", CASES, ids=lambda case: case.tool)


def test_the_registry_has_the_21_tools_in_order_with_their_facts() -> None:
    rows = [line.split() for line in GIVEN.strip().splitlines()]
    assert list(TOOL_REGISTRY) == [name for name, _, _ in rows]
    assert {case.tool for case in CASES} == set(TOOL_REGISTRY)
    facts = ToolBox.facts
    assert [(facts[name].required_z, facts[name].token) for name in TOOL_REGISTRY] == [
        (float(z), f"{token}|celestial_nuclear") for _, z, token in rows
    ]
    assert {fact.domain for fact in facts.values()} == {"core", "bridge", "meta"}
    assert all(fact.does and fact.actions for fact in facts.values())


@each_tool
def test_a_tool_does_what_it_says_and_its_answer_names_its_token(case: Case) -> None:
    engine = case.engine()
    assert case.memory(engine) == case.before
    for number, call in enumerate(case.calls, start=1):
        result = engine.invoke_tool(case.tool, **call)
        assert "error" not in result
        integration = result["_token_integration"]
        assert integration["token"] == ToolBox.facts[case.tool].token
        assert integration["calls"] == number
        assert integration["phase"] == "TRUE"
    assert case.memory(engine) == case.after


@each_tool
def test_what_a_tool_refuses_is_explained_and_changes_nothing(case: Case) -> None:
    heard = Heard()
    engine = case.engine()
    engine.listener = heard
    before = engine.state_dict()
    result = engine.invoke_tool(case.tool, **case.refused)
    assert case.because in result["error"]
    assert "_token_integration" not in result
    assert engine.state_dict() == before
    assert heard.all == []


@each_tool
def test_a_restored_tool_goes_on_as_the_one_that_was_stored(case: Case) -> None:
    engine = case.engine()
    for call in case.calls:
        engine.invoke_tool(case.tool, **call)
    stored = decode(encode(engine.state_dict()))
    restored = Kira(seed=99)
    restored.load_state_dict(cast(dict[str, Any], stored))
    assert case.memory(restored) == case.after
    assert restored.state_dict() == engine.state_dict()
    heard, heard_restored = Heard(), Heard()
    engine.listener, restored.listener = heard, heard_restored
    for call in case.calls:  # some of these are refused now: equally
        assert restored.invoke_tool(case.tool, **call) == engine.invoke_tool(case.tool, **call)
    assert restored.state_dict() == engine.state_dict()
    assert heard_restored.all == heard.all


@each_tool
def test_an_answer_shares_nothing_with_the_memory(case: Case) -> None:
    engine = case.engine()
    results = [engine.invoke_tool(case.tool, **call) for call in case.calls]
    results += [engine.invoke_tool(case.tool, action=name) for name in ("status", "list", "recent")]
    before = copy.deepcopy(engine.state_dict())
    for result in results:
        _spoil(result)
    assert engine.state_dict() == before


def _spoil(value: Any) -> None:
    """Change everything in it that can be changed."""
    if isinstance(value, dict):
        for item in value.values():
            _spoil(item)
        value["spoiled"] = True
    elif isinstance(value, list):
        for item in value:
            _spoil(item)
        value.append("spoiled")


@pytest.mark.parametrize("case", [case for case in CASES if ToolBox.facts[case.tool].required_z], ids=lambda case: case.tool)
def test_a_tool_out_of_reach_says_where_it_is(case: Case) -> None:
    required = ToolBox.facts[case.tool].required_z
    engine = Kira()
    engine.move_to(required - 0.01)
    before = engine.state_dict()
    result = engine.invoke_tool(case.tool, **case.calls[0])
    assert (result["error"], result["required_z"], result["current_z"]) == ("Insufficient elevation", required, required - 0.01)
    assert engine.state_dict() == before
    engine.move_to(required)
    assert "error" not in engine.invoke_tool(case.tool, **case.calls[0]) or case.prepare


@each_tool
def test_an_unknown_action_is_refused_with_those_there_are(case: Case) -> None:
    result = case.engine().invoke_tool(case.tool, action="levitate")
    assert "'levitate'" in result["error"]
    assert all(name in result["error"] for name in ToolBox.facts[case.tool].actions)


@pytest.mark.parametrize(
    ("tool", "action"), [(name, action) for name, fact in ToolBox.facts.items() for action in fact.actions]
)
def test_the_example_in_a_refusal_is_a_call_that_fits(tool: str, action: str) -> None:
    shown = ToolBox.facts[tool].tool.action(action).example()
    call = ast.parse(shown, mode="eval").body
    assert isinstance(call, ast.Call)
    given = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert (ast.literal_eval(call.args[0]), given.pop("action")) == (tool, action)
    assert ToolBox.facts[tool].tool.action(action).bound(given).keys() == given.keys()


def test_an_unknown_tool_is_refused_with_those_there_are() -> None:
    engine = Kira()
    before = engine.state_dict()
    assert "there is no tool 'crystal_ball'; there are helix_loader" in engine.invoke_tool("crystal_ball")["error"]
    assert engine.state_dict() == before


def test_the_effects_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert len(capsys.readouterr().out.splitlines()) == 21


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"memories": {"crystal_ball": {}}, "calls": {}}, "tools.memories.crystal_ball"),
        ({"memories": {}, "calls": {"orchestrator": -1}}, "tools.calls.orchestrator"),
        ({"memories": {}}, "tools.calls"),
        ({"memories": {}, "calls": {}, "more": 1}, "tools.more"),
        ({"memories": {"cybernetic_control": {"phases": [0.0]}}, "calls": {}}, "tools.cybernetic_control"),
        (
            {"memories": {"cybernetic_control": {"phases": [float("nan")] * 16}}, "calls": {}},
            "tools.cybernetic_control.phases[0]",
        ),
        (
            {"memories": {"token_vault": {"nodes": {"x": {"count": 1, "z": 2.0}}}}, "calls": {}},
            "tools.token_vault.nodes[...].z",
        ),
        (
            {"memories": {"workspace": {"exports": {"items": [{}]}}}, "calls": {}},
            "tools.workspace.exports.items[0]",
        ),
        ({"memories": {"helix_loader": {"colour": 1}}, "calls": {}}, "tools.helix_loader"),
        ([], "tools"),
    ],
)
def test_a_wrong_stored_memory_is_refused_by_its_place_and_the_engine_stays(changed: Any, path: str) -> None:
    engine = Kira(seed=3)
    engine.invoke_tool("helix_loader")
    before = engine.state_dict()
    with pytest.raises(InvalidValue) as refused:
        engine.load_state_dict({**Kira(seed=4).state_dict(), "tools": changed})
    assert refused.value.path == path
    assert engine.state_dict() == before


def test_a_replaced_entry_of_the_registry_is_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    original, called = TOOL_REGISTRY["helix_loader"], []

    def recorded(engine: Kira, **arguments: Any) -> dict[str, Any]:
        called.append(arguments)
        return original(engine, **arguments)

    monkeypatch.setitem(TOOL_REGISTRY, "helix_loader", recorded)
    assert Kira().invoke_tool("helix_loader", pattern="spiral")["pattern"] == "spiral"
    assert called == [{"pattern": "spiral"}]


@pytest.mark.parametrize(
    "value", [{1: "a"}, {"a": {2, 3}}, "\ud800", 2**64, b"raw", float("inf"), [[[[[[[[[[1]]]]]]]]]], "x" * 20_000]
)
def test_only_plain_values_are_kept(value: object) -> None:
    engine = Kira()
    engine.move_to(Z_CRITICAL)
    before = engine.state_dict()
    assert "error" in engine.invoke_tool("cross_instance_messenger", action="encode", payload=value)
    assert "error" in engine.invoke_tool("collective_memory_sync", action="store", key="k", value=value)
    assert engine.state_dict() == before
