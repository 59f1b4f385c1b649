"""Serves one call per line on stdin: ["name", ...arguments] -> {"result": ...} or {"error": ...} on stdout."""

import json
import logging
import sys

logging.disable()


def serve(calls: object) -> None:
    for line in sys.stdin:
        name, *args = json.loads(line)
        try:
            reply = {"result": getattr(calls, name)(*args)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
