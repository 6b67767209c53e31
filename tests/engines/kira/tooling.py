"""Calling tools from tests: an engine where all are within reach, and calls that must succeed or must be refused."""

from typing import Any

from holdfast.engines.kira import Kira
from holdfast.engines.kira.constants import Z_CRITICAL
from tests.engines.kira.listening import Heard


def at_the_lens(**options: Any) -> Kira:
    engine = Kira(**options)
    engine.move_to(Z_CRITICAL)
    return engine


def does(engine: Kira, tool: str, action: str = "", /, **arguments: Any) -> dict[str, Any]:
    """The answer of a call that succeeds, without what every answer has."""
    result = engine.invoke_tool(tool, action=action, **arguments)
    assert "error" not in result, result
    return {name: value for name, value in result.items() if name != "_token_integration"}


def refuses(engine: Kira, tool: str, action: str = "", /, **arguments: Any) -> str:
    """Why a call is refused; nothing may have changed, and nobody may have heard of it."""
    before, listener, heard = engine.state_dict(), engine.listener, Heard()
    engine.listener = heard
    result = engine.invoke_tool(tool, action=action, **arguments)
    engine.listener = listener
    assert engine.state_dict() == before
    assert heard.all == []
    return str(result["error"])
