"""What schemathesis must be told of Logboom for packaging/check-openapi."""

import json
import re
import uuid

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context, value):
    """A line for each element; what is no array has no lines, and is sent as something that is no JSON."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return "".join(json.dumps(element) + "\n" for element in value).encode()
    return f"no lines: {value!r}".encode()


@schemathesis.hook
def before_call(_context, case, _arguments):
    """A good Idempotency-Key is for one body: the same one for the next would rightly be answered 422."""
    key = (case.headers or {}).get("Idempotency-Key")
    if key is not None and re.fullmatch(r'"[!#-~]{1,255}"|[!#-~]{1,255}', str(key)):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
