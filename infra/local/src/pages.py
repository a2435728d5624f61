"""What a web page may do with a bucket.

Two things are not as on AWS without this:

- A page is of the origin of the front door that has served it, and not of the endpoint that MiniStack gives to the HTTP
  API, which is what a bucket's CORS configuration names. A rule that names the endpoint of an API is heeded for the
  front doors that have passed on requests to that API.
- A form that uploads an object has its signature in its fields, where the door does not look. MiniStack checks that of a
  form that has one, with the permissions of who has signed it, and takes any form that has none. But first it looks for
  the permissions of who sends the request, who is nobody.
"""
import contextvars
import re

from ministack import app
from ministack.core import iam_evaluator
from ministack.services import apigateway, s3

# Any other name of this machine is one that its own page may have made up.
FRONT_DOOR = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\]):\d+")

# Whether the request at hand is a signed form.
is_signed_form = contextvars.ContextVar("is_signed_form", default=False)
enforce = iam_evaluator.enforce

# The origins of the front doors of an API, by its identifier.
front_doors = {}
cors_rules = s3._cors_rules


def note_front_door(host, path):
    """A front door has passed on a request that was for `host`."""
    asked = app._parse_execute_api_url(host, path)
    if asked and FRONT_DOOR.fullmatch(host):
        front_doors.setdefault(asked[0], set()).add(f"http://{host}")


def origins_of_pages(endpoint):
    """The origins of the pages of the API with this endpoint."""
    origins = set()
    for api_id, of_api in front_doors.items():
        scope = apigateway.find_api_scope(api_id)
        api = apigateway._apis.get_scoped(*scope, api_id) if scope else None
        if api is not None and api.get("apiEndpoint") == endpoint:
            origins |= of_api
    return origins


def rules_for_pages(bucket_name):
    rules = cors_rules(bucket_name)
    for rule in rules or []:
        named = rule.get("AllowedOrigin", [])
        rule["AllowedOrigin"] = named + [origin for endpoint in named for origin in sorted(origins_of_pages(endpoint))]
    return rules


s3._cors_rules = rules_for_pages


def may_be_form(request):
    """Whether a request is one that a form for uploading sends: to a bucket, and to nothing in it."""
    if request.method != "POST" or request.query or "authorization" in request.headers:
        return False
    is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
    return is_form and request.bucket() is not None and app._s3_cors_target(request.headers["host"], request.path)[1] == ""


def note_form(content_type, body):
    """Whether MiniStack will check the signature of a form. It is to look for its signer's permissions only."""
    names = {name.lower() for name, *_ in s3._parse_multipart_form(content_type, body)}
    is_signed_form.set({"policy", "x-amz-credential", "x-amz-signature"} <= names)
    return is_signed_form.get()


def enforce_for_signers(access_key, *asked, **more):
    if not access_key and is_signed_form.get():
        return None
    return enforce(access_key, *asked, **more)


iam_evaluator.enforce = enforce_for_signers
