"""The network: links grow by Hebb's rule, stay within bounds, and come back in their order."""

import math
from struct import Struct
from typing import Any

import pytest

from holdfast.engines.kira.semantics import EVENTS_KEPT, LINKS_KEPT, Network, content_words
from holdfast.errors import InvalidValue


def learned(network: Network, said: list[str], answered: list[str], **options: Any) -> dict[str, Any]:
    return network.learn(said, answered, **{"z": 0.5, "kappa": 0.5, **options})


def test_the_seeds_are_linked_there_and_back() -> None:
    network = Network()
    assert network.strength("lens", "focus") == 0.5
    assert network.strength("focus", "lens") == 0.4
    assert network.strength("kira", "consciousness") == 0.5
    assert [word for word, _ in network.related("consciousness", limit=2)] == ["awareness", "mind"]


def test_a_link_grows_toward_1_and_its_way_back_by_half() -> None:
    network = Network()
    for _ in range(200):
        learned(network, ["alpha"], ["beta"])
    assert 0.999 < network.strength("alpha", "beta") <= 1
    assert 0.45 < network.strength("beta", "alpha") <= 1


def test_words_said_together_are_linked_both_ways() -> None:
    network = Network()
    event = learned(network, ["alpha", "beta"], [])
    assert network.strength("alpha", "beta") == network.strength("beta", "alpha") == pytest.approx(0.05625)
    assert (event["connections_made"], event["strengthened"]) == (0, 0)


def test_new_links_and_strengthened_ones_are_counted_apart() -> None:
    network = Network()
    assert learned(network, ["lens", "alpha"], ["focus", "beta"])["connections_made"] == 3
    event = learned(network, ["lens"], ["focus", "gamma"])
    assert (event["connections_made"], event["strengthened"], event["exchange"]) == (1, 1, 2)


def test_a_word_is_not_linked_with_itself() -> None:
    network = Network()
    learned(network, ["alpha", "alpha"], ["alpha"])
    assert network.links.get("alpha") is None


def test_neighbours_are_added_behind_the_words_and_only_new_ones() -> None:
    network = Network()
    assert network.expanded(["pattern", "structure"]) == ["pattern", "structure", "form", "organization"]
    assert network.expanded(["unheard-of"]) == ["unheard-of"]


def test_weak_links_are_no_relation() -> None:
    network = Network()
    learned(network, ["alpha", "beta"], [])
    assert network.related("alpha") == []
    learned(network, ["alpha", "beta"], [])
    assert [word for word, _ in network.related("alpha")] == ["beta"]


def test_dots_are_no_word() -> None:
    assert content_words("... The lens, lens! it IS...") == ["lens", "lens"]
    with pytest.raises(InvalidValue, match=r"said\[1\]"):
        learned(Network(), ["alpha", ""], ["beta"])


@pytest.mark.parametrize("word", [3, None, "x" * 65, " "])
def test_what_is_no_word_is_refused_and_changes_nothing(word: Any) -> None:
    network = Network()
    before = network.state_dict()
    with pytest.raises(InvalidValue, match=r"answered\[0\]"):
        learned(network, ["alpha"], [word])
    assert network.state_dict() == before


def test_links_are_bounded_and_the_weakest_go_first() -> None:
    network = Network()
    for number in range(60):
        learned(network, [f"said{number}_{index}" for index in range(6)], [f"answer{number}_{index}" for index in range(6)])
    assert network.link_count == LINKS_KEPT
    assert network.strength("lens", "focus") == 0.5
    assert all(network.links.values())
    assert set(network.seen) <= set(network.links)
    assert len(network.exchanges) == 60
    assert len(list(network.exchanges)) == EVENTS_KEPT


def test_without_decay_nothing_fades_and_with_it_links_weaken_and_go() -> None:
    still, fading = Network(), Network(decay=0.01)
    for network in (still, fading):
        learned(network, ["alpha"], ["beta"])
        for _ in range(10):
            learned(network, ["gamma"], ["delta"])
    assert still.strength("alpha", "beta") == pytest.approx(0.1875)
    assert fading.strength("alpha", "beta") == pytest.approx(0.0875)
    assert fading.strength("beta", "alpha") == 0
    assert "beta" not in fading.seen


def test_a_stored_network_goes_on_as_the_living_one() -> None:
    network = Network(decay=0.002)
    learned(network, ["alpha", "beta"], ["gamma"], topics=["lens"])
    restored = Network()
    restored.load_state_dict(network.state_dict())
    assert restored.seen == network.seen == dict.fromkeys(("alpha", "beta", "gamma", "lens"), 1)
    for one in (network, restored):
        learned(one, ["gamma", "lens"], ["alpha"])
    assert restored.state_dict() == network.state_dict()
    assert [*restored.links] == [*network.links]
    assert restored.seen == network.seen
    assert restored.related("lens") == network.related("lens")
    assert restored.seen["lens"] == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"links": b"short"}, r"network\.links: 5 bytes"),
        ({"links": Struct("<HHd").pack(0, 9999, 0.5)}, r"network\.links: \(0, 9999"),
        ({"links": Struct("<HHd").pack(0, 1, 2.0)}, r"network\.links: \(0, 1, 2\.0\)"),
        ({"links": Struct("<HHd").pack(0, 1, math.nan)}, r"network\.links: \(0, 1, nan\)"),
        ({"words": ["lens", 3]}, r"network\.words\[1\]"),
        ({"seen": [1]}, r"network\.seen: 58 numbers"),
        ({"seen": [-1]}, r"network\.seen"),
        ({"decay": 7}, r"network\.decay"),
        ({"exchanges": {"count": 0, "kept": [3]}}, r"network\.exchanges\.kept\[0\]"),
    ],
)
def test_a_wrong_field_of_a_stored_network_is_named_and_changes_nothing(change: dict[str, Any], named: str) -> None:
    network = Network()
    before = network.state_dict()
    with pytest.raises(InvalidValue, match=named):
        network.load_state_dict({**before, **change})
    assert network.state_dict() == before
