"""helix_loader, pattern_verifier, coordinate_detector, coordinate_logger and vaultnode_generator: places on the way."""

from typing import Any

import pytest

from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import Z_CRITICAL
from tests.engines.kira.saved import needs_saved_data, saved
from tests.engines.kira.tooling import at_the_lens, does, refuses


def test_the_helix_is_loaded_at_its_coordinate_and_moves_nothing() -> None:
    engine = Kira()
    loaded = does(engine, "helix_loader", "load")
    assert (loaded["status"], loaded["coordinate"]) == ("LOADED", "Δ2.300|0.800000|1.000Ω")
    assert (loaded["tools_total"], loaded["tools_accessible"], loaded["tools_accessible_at_pattern"]) == (21, 9, 21)
    assert engine.state.z == 0.5
    assert does(engine, "helix_loader", "unload")["pattern"] == "helix"
    assert does(engine, "helix_loader", "status")["pattern"] is None
    assert "no pattern is loaded" in refuses(engine, "helix_loader", "unload")


@pytest.mark.parametrize("wrong", [{"z": 1.5}, {"z": float("nan")}, {"theta": -1.0}, {"r": 2.0}, {"pattern": ""}])
def test_a_coordinate_that_cannot_be_is_not_loaded(wrong: dict[str, Any]) -> None:
    assert refuses(Kira(), "helix_loader", "load", **wrong)


def test_the_verifier_tells_whether_place_log_and_pattern_are_the_same() -> None:
    engine = at_the_lens()
    first = does(engine, "pattern_verifier")
    again = does(engine, "pattern_verifier", "verify", expected=first["hash"])
    assert (first["status"], first["matches"]) == ("MEASURED", None)
    assert (again["status"], again["matches"]) == ("VERIFIED", True)
    for tool, action, arguments in (
        ("helix_loader", "load", {}),
        ("coordinate_logger", "log", {"event": "here"}),
    ):
        does(engine, tool, action, **arguments)
        changed = does(engine, "pattern_verifier", "verify", expected=first["hash"])
        assert (changed["status"], changed["matches"]) == ("MISMATCH", False)
        first = changed
    engine.move_to(0.9)
    assert does(engine, "pattern_verifier", "verify", expected=first["hash"])["status"] == "MISMATCH"
    assert does(engine, "pattern_verifier", "status")["mismatches"] == 3


@pytest.mark.parametrize(
    ("signature", "valid", "is_consistent"),
    [
        ("Δ5.027|0.800000|1.528Ω", True, True),
        ("D5.027|0.800|1.528O", True, True),
        (" Δ5.441|0.866|1.618Ω ", True, True),
        ("Δ5.441|0.866|1.000Ω", True, False),  # older files print r as 1.000 always
        ("Δ2.300|0.800000|1.000Ω", True, False),
        ("Δ5.027|1.200000|1.528Ω", False, False),
        ("Δ7.000|0.800000|1.528Ω", False, False),
        ("Δ5.027|0.800000|2.528Ω", False, False),
        ("Δ5.027|0.800000", False, False),
        ("Δnan|0.800000|1.000Ω", False, False),
        ("lens", False, False),
    ],
)
def test_a_signature_is_read_and_judged(signature: str, valid: bool, is_consistent: bool) -> None:
    found = does(Kira(), "coordinate_detector", "detect", signature=signature)
    assert (found["valid"], found["is_consistent"]) == (valid, is_consistent)
    assert (found["reason"] is None) is valid


@pytest.mark.parametrize("z", [0.0, 0.1, 0.5, 0.8, Z_CRITICAL, 0.95, 1.0])
def test_the_engines_own_coordinate_is_valid_and_consistent(z: float) -> None:
    engine = Kira()
    engine.move_to(max(z, 0.1))
    found = does(engine, "coordinate_detector")
    assert (found["signature"], found["valid"], found["is_consistent"]) == (engine.state.coordinate, True, True)


@needs_saved_data
def test_coordinates_in_saved_files_are_read() -> None:
    engine = Kira()
    samples = saved("syntax-training-data.json")["samples"]
    for signature in [saved("epoch6_vaultnode.json")["coordinate"], *(sample["coordinate"] for sample in samples)]:
        assert does(engine, "coordinate_detector", "detect", signature=signature)["valid"], signature


def test_the_logger_numbers_all_entries_and_keeps_the_last() -> None:
    engine = at_the_lens()
    for number in range(1, 41):
        logged = does(engine, "coordinate_logger", "log", event=f"event {number}")
        assert (logged["entry_id"], logged["total_logs"]) == (f"entry-{number:04d}", number)
    listed = does(engine, "coordinate_logger", "list")
    assert [entry["event"] for entry in listed["entries"]] == [f"event {number}" for number in range(16, 41)]
    assert listed["entries"][-1]["coordinate"] == engine.state.coordinate
    assert "metadata have" in refuses(engine, "coordinate_logger", "log", event="x", metadata={"text": "x" * 600})


def test_a_sealed_node_stays_as_it_was_and_names_the_seal_before() -> None:
    engine = at_the_lens()
    does(engine, "vaultnode_generator", "create", name="first")
    does(engine, "vaultnode_generator", "create", name="second")
    first = does(engine, "vaultnode_generator", "seal", name="first")
    second = does(engine, "vaultnode_generator", "seal", name="second")
    assert (first["previous"], second["previous"]) == ("", first["seal"])
    assert first["seal"] != second["seal"]
    assert "is sealed already" in refuses(engine, "vaultnode_generator", "seal", name="first")
    assert "there is a node 'first' already" in refuses(engine, "vaultnode_generator", "create", name="first")
    assert does(engine, "vaultnode_generator", "verify", name="second")["verified"]
    assert (second["z"], second["phase"], second["k_formation"]["threshold"]) == (Z_CRITICAL, "TRUE", 7)


def test_a_node_changed_after_its_seal_is_found() -> None:
    engine = at_the_lens()
    does(engine, "vaultnode_generator", "create", name="lens")
    does(engine, "vaultnode_generator", "seal", name="lens")
    state = engine.state_dict()
    state["tools"]["memories"]["vaultnode_generator"]["nodes"]["lens"]["measured"]["z"] = 0.9
    engine.load_state_dict(state)
    assert not does(engine, "vaultnode_generator", "verify", name="lens")["verified"]


def test_measuring_keeps_nothing() -> None:
    engine = at_the_lens()
    assert does(engine, "vaultnode_generator")["status"] == "MEASURED"
    assert engine.tools["vaultnode_generator"].state_dict() == {}
    assert "is not sealed" in (
        does(engine, "vaultnode_generator", "create", name="open")
        and refuses(engine, "vaultnode_generator", "verify", name="open")
    )


def test_nodes_are_bounded_and_the_chain_goes_on_over_those_that_are_gone() -> None:
    engine = at_the_lens()
    seals: list[str] = []
    for number in range(20):
        does(engine, "vaultnode_generator", "create", name=f"node {number}")
        sealed = does(engine, "vaultnode_generator", "seal", name=f"node {number}")
        assert sealed["previous"] == (seals[-1] if seals else "")
        seals.append(str(sealed["seal"]))
    listed = does(engine, "vaultnode_generator", "list")
    assert list(listed["nodes"]) == [f"node {number}" for number in range(4, 20)]
    assert (listed["made_total"], listed["sealed_total"], listed["last_seal"]) == (20, 20, seals[-1])
