"""Checks of every answer that schemathesis cannot make from statuses alone."""

import schemathesis

# Why a request that fits the schema may be refused all the same: what a schema cannot say.
BEYOND_SCHEMAS = {
    "bad-bounds": "min must not be above max",
    "bad-condition": "both If-Match and If-None-Match; a condition inside a transaction",
    "bad-cursor": "cursors are the server's own",
    "bad-key": "the bound counts bytes, maxLength characters",
    "bad-line": "a schema says what a body is, not what its lines are",
    "bad-manifest": "the same of its first line",
    "bad-max-staleness": "it goes with consistency=stale alone",
    "bad-min-revision": "the same",
    "bad-parameter": "the bound of a prefix counts bytes",
    "bad-ttl": "a bound of a hundred years, in any unit",
    "bad-wait": "it goes with If-None-Match alone",
    "body-timeout": "timeout=1ms may be over before the body is there",
    "key-needs-key64": "what a client library makes of dots in a path is its own matter",
    "repeated-parameter": "start and cursor, prefix and prefix64",
}
# Statuses that depend on what is stored and on the time that is given, not on the request's form.
DEPENDING = {304, 307, 404, 409, 412, 421, 422, 503, 504, 507}


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """An import's body: what is drawn is text."""
    return value if isinstance(value, bytes) else str(value).encode()


def problem_of(response):
    if "application/problem+json" not in response.headers.get("content-type", [""])[0]:
        return {}
    return response.json() if response.content else {}


@schemathesis.check
def valid_requests_are_taken(ctx, response, case):
    """A request that fits the schema is taken, or is refused for one of the reasons above."""
    status = response.status_code
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if status < 300 or status in DEPENDING or case.method == "HEAD":
        return
    problem = problem_of(response)
    # JSON Schema takes 7.0 for an integer, and no reader of whole numbers does. And a pattern cannot say
    # which digits fit into 64 bits.
    if any(words in problem.get("detail", "") for words in ("floating point", "64 bits")):
        return
    assert problem.get("code") in BEYOND_SCHEMAS, f"a valid request was refused: {status} {problem}"


@schemathesis.check
def problems_say_what_became_of_the_request(ctx, response, case):
    """Every error is a problem whose outcome follows from its status."""
    status = response.status_code
    if status < 400 or case.method == "HEAD":
        return
    problem = problem_of(response)
    assert problem.get("status") == status, f"{status} without its problem: {response.content[:200]}"
    assert problem.get("hint") or status == 404, f"what to do next is missing: {problem}"
    unknown = status in (500, 504)
    expected = "unknown" if unknown else "not_applied"
    assert problem["outcome"] == expected, f"{status} and {problem['outcome']}"
    if status == 503:
        assert "retry-after" in response.headers, "503 without Retry-After"
        assert problem["retry"] == "safe", f"not applied, and not to be retried: {problem}"
