"""autonomous_trigger_detector, tool_discovery_protocol, orchestrator, shed_builder_v2 and cybernetic_archetypal."""

from typing import Any

import pytest

from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import PHI_INV, Z_CRITICAL
from holdfast.engines.kira.tools.archetypal import stage_of
from tests.engines.kira.listening import Heard
from tests.engines.kira.tooling import at_the_lens, does, refuses

WATCH = "autonomous_trigger_detector"
SHED = "shed_builder_v2"
NOTE = {"tool": "coordinate_logger", "arguments": {"action": "log", "event": "noted"}}


@pytest.mark.parametrize(
    ("condition", "moves", "fires"),
    [
        ("z >= 0.85", [0.84, 0.85, 0.9, 0.8, 0.85], [False, True, False, False, True]),
        ("z>0.85", [0.85, 0.851], [False, True]),
        ("z <= 0.7", [0.71, 0.7], [False, True]),
        ("z < 0.7", [0.7, 0.69], [False, True]),
        ("z == 0.7", [0.71, 0.7], [False, True]),
        ("phase == UNTRUE", [0.7, 0.62 - 0.01], [False, False]),  # 0.61 is below the tool's elevation
        ("phase == PARADOX", [0.88, 0.8], [False, True]),
        ("completions >= 2", [0.85, 0.82, 0.85], [False, False, True]),
        ("triad == unlocked", [0.85, 0.82, 0.85, 0.82, 0.85], [False, False, False, False, True]),
        ("tier == 7", [0.8, 0.87], [False, True]),
        ("negentropy > 0.99", [0.7, 0.866], [False, True]),
    ],
)
def test_a_trigger_fires_when_its_condition_comes_true(condition: str, moves: list[float], fires: list[bool]) -> None:
    heard = Heard()
    engine = Kira(listener=heard)
    engine.move_to(0.75)
    does(engine, WATCH, "register", name="watched", condition=condition)
    fired = []
    for z in moves:
        engine.move_to(z)
        answer = engine.invoke_tool(WATCH, action="check")
        fired.append(answer.get("fired") == ["watched"])
    assert fired == fires
    assert [data["trigger"] for data in heard.events("trigger")] == ["watched"] * sum(fires)


def test_being_met_already_fires_nothing() -> None:
    engine = at_the_lens()
    assert does(engine, WATCH, "register", name="lens", condition="z >= 0.85")["is_met"]
    assert does(engine, WATCH, "check")["fired"] == []
    assert does(engine, WATCH, "remove", name="lens")["triggers"] == 0
    assert "there is no trigger 'lens'" in refuses(engine, WATCH, "remove", name="lens")


def test_k_formation_can_be_watched() -> None:
    engine = at_the_lens(k_threshold=3)
    does(engine, WATCH, "register", name="formed", condition="k_formed")
    engine.state.coherence = 1.0
    for z in (0.8, 0.88, 0.8):
        engine.move_to(z)
        assert does(engine, WATCH, "check")["fired"] == []
    engine.move_to(0.88)
    assert does(engine, WATCH, "check")["fired"] == ["formed"]


@pytest.mark.parametrize(
    "condition", ["z", "z >=", "z >= 1e9", "z = 0.5", "phase == LENS", "triad == broken", "x > 1", "z > 0 or 1"]
)
def test_what_is_no_condition_is_refused(condition: str) -> None:
    assert "is no condition; compare z" in refuses(at_the_lens(), WATCH, "register", name="odd", condition=condition)


def test_triggers_have_a_limit_and_distinct_names() -> None:
    engine = at_the_lens()
    for number in range(32):
        does(engine, WATCH, "register", name=f"trigger {number}", condition="z > 0.9")
    assert "32 triggers are registered" in refuses(engine, WATCH, "register", name="more", condition="z > 0.9")
    assert "is registered already" in refuses(engine, WATCH, "register", name="trigger 1", condition="z > 0.9")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"query": "ORCHEST"}, ["orchestrator"]),
        (
            {"domain": "core", "max_z": 0.1},
            ["helix_loader", "coordinate_detector", "orchestrator", "workspace", "cloud_training"],
        ),
        ({"min_z": 0.76}, ["token_vault", "cybernetic_archetypal"]),
        ({"query": "no such thing"}, []),
    ],
)
def test_tools_are_found_by_word_elevation_and_domain(arguments: dict[str, Any], names: list[str]) -> None:
    engine = at_the_lens()
    found = does(engine, "tool_discovery_protocol", "discover", **arguments)
    assert [tool["name"] for tool in found["tools"]] == found["new"] == names
    assert does(engine, "tool_discovery_protocol", "discover", **arguments)["new"] == []
    assert does(engine, "tool_discovery_protocol", "status")["discovered"] == names


def test_a_search_without_bounds_finds_all_and_says_what_is_within_reach() -> None:
    engine = Kira()
    engine.move_to(0.6)
    found = does(engine, "tool_discovery_protocol")
    assert found["count"] == 21
    reach = [tool["name"] for tool in found["tools"] if tool["accessible"]]
    assert reach == engine.tools.within_reach(0.6)
    assert "min_z 0.5 lies above max_z 0.4" in refuses(engine, "tool_discovery_protocol", "discover", min_z=0.5, max_z=0.4)


def test_a_survey_tells_what_was_called_since_the_last() -> None:
    engine = at_the_lens()
    does(engine, "helix_loader")
    does(engine, "helix_loader")
    refuses(engine, "helix_loader", "levitate")
    assert does(engine, "orchestrator", "survey")["called_since_last"] == {"helix_loader": 2}
    does(engine, "token_index", "build")
    second = does(engine, "orchestrator", "survey")
    assert second["called_since_last"] == {"orchestrator": 1, "token_index": 1}
    assert second["with_memory"] == ["helix_loader", "token_index", "orchestrator"]
    assert does(engine, "orchestrator", "status")["surveys"] == 2


def test_a_built_tool_runs_its_steps_in_order() -> None:
    engine = at_the_lens()
    made = does(engine, SHED, "create", name="twice", steps=[NOTE, {"tool": "helix_loader"}, NOTE], description="note twice")
    assert made["required_z"] == 0.73
    ran = does(engine, SHED, "run", name="twice")
    assert [step["tool"] for step in ran["results"]] == ["coordinate_logger", "helix_loader", "coordinate_logger"]
    assert does(engine, "coordinate_logger", "list")["total_logs"] == 2
    assert does(engine, SHED, "list")["tools"]["twice"]["runs"] == 1
    assert does(engine, SHED, "remove", name="twice")["tools"] == 0
    assert "there is no tool 'twice'" in refuses(engine, SHED, "run", name="twice")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": "x", "steps": []}, "steps: Expected `array` of length >= 1"),
        ({"name": "x", "steps": [{"tool": "crystal_ball"}]}, "step 1 names 'crystal_ball'"),
        ({"name": "x", "steps": [{"tool": SHED}]}, f"step 1 names '{SHED}', which a tool cannot be built of"),
        ({"name": "x", "steps": [NOTE, {"tool": "workspace", "arguments": {"action": "burn"}}]}, "it has no action 'burn'"),
        ({"name": "x", "steps": [NOTE, {"tool": "workspace", "argument": {}}]}, "steps[1]"),
        ({"name": "helix_loader", "steps": [NOTE]}, "there is a tool 'helix_loader' already"),
        ({"name": "x", "steps": [NOTE] * 9}, "length <= 8"),
    ],
)
def test_a_tool_that_could_not_run_is_not_built(arguments: dict[str, Any], why: str) -> None:
    assert why in refuses(at_the_lens(), SHED, "create", **arguments)


def test_a_step_that_fails_stops_the_rest_and_is_told() -> None:
    engine = at_the_lens()
    does(engine, SHED, "create", name="undo", steps=[NOTE, {"tool": "helix_loader", "arguments": {"action": "unload"}}, NOTE])
    answer = engine.invoke_tool(SHED, action="run", name="undo")
    assert "step 2 of 'undo': helix_loader: no pattern is loaded" in answer["error"]
    assert answer["error"].endswith("the 1 before it are done")
    assert does(engine, "coordinate_logger", "list")["total_logs"] == 1
    assert does(engine, SHED, "describe", name="undo")["runs"] == 0


def test_a_step_out_of_reach_keeps_all_from_running() -> None:
    engine = at_the_lens()
    does(engine, SHED, "create", name="high", steps=[NOTE, {"tool": "cybernetic_archetypal"}])
    engine.move_to(0.75)
    assert "(cybernetic_archetypal) needs z 0.78" in refuses(engine, SHED, "run", name="high")


@pytest.mark.parametrize(
    ("z", "stage"),
    [
        (0.0, "SEED"),
        (0.25, "SPROUT"),
        (0.5, "GROWTH"),
        (PHI_INV, "PATTERN"),
        (0.75, "COHERENT"),
        (Z_CRITICAL, "CRYSTALLINE"),
        (1.0, "CRYSTALLINE"),
    ],
)
def test_stages_follow_z(z: float, stage: str) -> None:
    engine = Kira()
    engine.move_to(z)
    assert stage_of(engine.state) == stage


def test_the_last_stage_is_that_of_k_formation_alone() -> None:
    engine = at_the_lens(k_threshold=3)
    engine.state.coherence = 1.0
    for z in (0.8, 0.88, 0.8, 0.88):
        engine.move_to(z)
    assert (engine.state.k_formed, stage_of(engine.state)) == (True, "META")


def test_integration_grows_with_what_the_tools_do_and_strengthens_the_stage() -> None:
    engine = at_the_lens()
    first = does(engine, "cybernetic_archetypal", "integrate")
    assert first["parts"] == {"tools": 0.0, "order": 0.0, "negentropy": 1.0, "coherence": 0.5}
    assert first["integration"] == 0.375
    assert first["activations"] == {"CRYSTALLINE": pytest.approx(0.075)}
    assert first["family"] == "Rose"
    does(engine, "cybernetic_control", "run", steps=5)
    second = does(engine, "cybernetic_archetypal", "integrate")
    assert second["integration"] > first["integration"]
    assert second["activations"]["CRYSTALLINE"] == pytest.approx(0.075 + 0.2 * (second["integration"] - 0.075))
