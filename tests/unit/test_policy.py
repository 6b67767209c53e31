"""The saving policy: defaults, limits, and messages that name the setting."""

from typing import Any

import pytest

from holdfast.errors import InvalidSetting
from holdfast.recording.policy import SavePolicy


def test_the_defaults_are_the_documented_ones() -> None:
    policy = SavePolicy()
    assert (policy.save_mode, policy.durability, policy.on_full) == ("continuous", "process", "raise")
    assert (policy.tokens, policy.emissions, policy.checkpoint) == (100, 10, 300.0)


@pytest.mark.parametrize(
    ("options", "flush_at"),
    [
        ({"save_mode": "batch"}, 100),
        ({"save_mode": "batch", "tokens": 7}, 7),
        ({"save_mode": "batch", "tokens": 10**9}, 10_000),
        ({"save_mode": "checkpoint"}, 10_000),
        ({"save_mode": "checkpoint", "tokens": 7}, 10_000),
    ],
)
def test_a_buffer_is_flushed_at_the_first_limit(options: dict[str, Any], flush_at: int) -> None:
    assert SavePolicy(**options).flush_at == flush_at


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("save_mode", "sometimes"),
        ("save_mode", 5),
        ("durability", "none"),
        ("on_full", ""),
        ("tokens", 0),
        ("tokens", 1.5),
        ("tokens", "5"),
        ("emissions", -1),
        ("seconds", 0),
        ("seconds", float("nan")),
        ("seconds", "1"),
        ("checkpoint", 0),
        ("checkpoint", -1.0),
        ("checkpoint", "x"),
    ],
)
def test_a_setting_out_of_its_range_is_named_with_its_value(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as refused:
        SavePolicy(**{name: value})  # type: ignore[arg-type]
    assert f"{name}={value!r}" in str(refused.value)


def test_no_time_driven_checkpoints_is_a_policy_too() -> None:
    assert SavePolicy(checkpoint=None).checkpoint is None
