"""An MCP server on standard input and output, for tests: two tools, and what it was given as the answer of each.

Environment: `SLOW` are seconds before it speaks; `BROKEN` lets it end at once, with that on its standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any


def _answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        about = {"name": "test", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        tools = [
            {"name": name, "description": "a tool", "inputSchema": {"type": "object"}} for name in ("look", "poke")
        ]
        return {"tools": tools}
    if method == "tools/call":
        text = json.dumps({"argv": sys.argv[1:], "token": os.environ.get("TOKEN"), "pid": os.getpid()})
        return {"content": [{"type": "text", "text": text}]}
    return {}


def main() -> None:
    """Serve until the end of the input."""
    if broken := os.environ.get("BROKEN"):
        sys.exit(broken)
    time.sleep(float(os.environ.get("SLOW", "0")))
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            answer = _answer(request["method"], request.get("params") or {})
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
