"""Print, for each of the 21 tools, what its calls changed in its memory: `python -m tests.engines.kira.tool_effects`."""

import sys

from tests.engines.kira.tool_cases import CASES


def main() -> int:
    """0 if every tool changed what its case says."""
    is_as_said = True
    for case in CASES:
        engine = case.engine()
        before = case.memory(engine)
        results = [engine.invoke_tool(case.tool, **call) for call in case.calls]
        after = case.memory(engine)
        works = before == case.before and after == case.after and not any("error" in result for result in results)
        is_as_said = is_as_said and works
        done = ", ".join(str(call.get("action", engine.tools[case.tool].default_action)) for call in case.calls)
        sys.stdout.write(f"{case.tool} ({done}): {before} → {after}{'' if works else '  NOT AS SAID'}\n")
    return 0 if is_as_said else 1


if __name__ == "__main__":
    sys.exit(main())
