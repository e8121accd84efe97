"""What Schemathesis cannot know of the API: which data is likely to be accepted, and what
may be refused although it fits its schema."""

import datetime
import re

import schemathesis

ZONES = ["Europe/Berlin", "Pacific/Apia", "America/St_Johns", "UTC"]
ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,32}")

# Refusals that a schema cannot foresee: of values that depend on each other, are counted
# in bytes, or are the caller's guess at what the server has.
FORESEEABLE = {401, 403, 404, 409, 412, 422, 429, 503}
BY_RULE = {"invalid_field", "invalid_time_window"}

# Schemathesis also makes an If-Match of a bare 0, which does not fit its schema.
ENTITY_TAG = re.compile(r'\*|(?:W/)?"[^"]*"')


def time_of(text):
    try:
        return datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


@schemathesis.hook
def map_body(context, body):
    """Makes what would be refused for a rule's sake acceptable, and nothing else: what
    violates the schema has to go on to do so."""
    if not isinstance(body, dict):
        return body
    zone = body.get("timezone")
    if isinstance(zone, str) and ZONE.fullmatch(zone) and zone not in ZONES:
        body = {**body, "timezone": ZONES[len(zone) % len(ZONES)]}
    start, end = time_of(body.get("startUtc")), time_of(body.get("endUtc"))
    if start and end and 1970 < start.year < 9999 and start.tzinfo and end.tzinfo:
        end = start + datetime.timedelta(hours=2)
        body = {**body, "endUtc": end.isoformat()}
    return body


@schemathesis.check
def refused_by_a_rule_alone(context, response, case):
    """What fits its schema is accepted, or refused by a rule that is none of the schema's."""
    generated = case.meta and case.meta.generation.mode.is_positive
    if not ENTITY_TAG.fullmatch((case.headers or {}).get("If-Match", "*")):
        return
    if not generated or response.status_code < 400 or response.status_code in FORESEEABLE:
        return
    code = response.json().get("code")
    assert response.status_code == 400 and code in BY_RULE, f"{response.status_code} {code}"
