"""What callers were allowed and denied; loaded by emulator.py, asked for by decisions.rs.

Every decision of the emulator on a signed request counts, except those on the root user, who may do everything. Keys of
objects are left out: they can tell of people, and there may be any number of them.
"""
import os
import threading
import time

from ministack.core import iam_evaluator

import news

ROOT_KEY_ID = os.environ["AWS_ACCESS_KEY_ID"]
# Names of sessions are their callers' choice.
MOST_DECISIONS = 10_000

lock = threading.Lock()
decisions = {}
enforce = iam_evaluator.enforce


def enforce_and_count(access_key_id, iam_action, service, region, resource_arn="*", service_context=None):
    denied = enforce(access_key_id, iam_action, service, region, resource_arn, service_context)
    if access_key_id != ROOT_KEY_ID and not isinstance(denied, iam_evaluator.AuthError):
        identity = iam_evaluator.resolve_caller_identity(access_key_id)
        if identity is not None:
            count(identity["userArn"], iam_action, without_key(resource_arn), denied is not None)
    return denied


def without_key(arn):
    bucket, slash, _ = arn.partition("/")
    return f"{bucket}/*" if slash and arn.startswith("arn:aws:s3:::") else arn


def count(principal, action, resource, is_denied):
    key = principal, action, resource
    with lock:
        if key not in decisions and len(decisions) >= MOST_DECISIONS:
            return
        decision = decisions.setdefault(key, {"allowed": 0, "denied": 0, "denied_at_ms": 0})
        if is_denied:
            decision["denied"] += 1
            decision["denied_at_ms"] = int(time.time() * 1000)
        else:
            decision["allowed"] += 1
    if is_denied:
        # Whoever shows a function's log shows this as well.
        news.add("logs")


def counts():
    with lock:
        return [
            {"principal": principal, "action": action, "resource": resource, **decision}
            for (principal, action, resource), decision in decisions.items()
        ]


iam_evaluator.enforce = enforce_and_count
