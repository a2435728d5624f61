"""Which code an invocation runs; loaded by emulator.py.

When a function's code or configuration changes, MiniStack ends all its processes, whatever they are at. On AWS an
invocation ends on the code that it began with, and what is invoked after the change runs the new code. So a process
that is at work ends here when it has answered. One that was started late, for an invocation that had looked the
function up before the change, handles nothing else.

The code or the configuration that a function has already changes nothing: CloudFormation may put in place what a
hotswap has put there.
"""
import copy
import threading

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

acquire = lambda_runtime.acquire_worker
release = lambda_runtime.release_worker
update_code = lambda_svc._update_code
update_config = lambda_svc._update_config

# Of a configuration, what every update changes.
TOLD_OF_UPDATES = ("LastModified", "RevisionId", "State", "LastUpdateStatus")

# The worker that the thread's invocation has, and whether it keeps workers that an update would end.
own = threading.local()


def acquire_with_code(func_name, config, code_zip, qualifier="$LATEST", max_concurrency=None):
    while True:
        worker, reason = acquire(func_name, config, code_zip, qualifier, max_concurrency)
        if reason == "reused" and worker.code_zip != code_zip:
            retire([worker])
            release_and_end(worker)
            continue
        own.worker = worker
        return worker, reason


def release_and_end(worker):
    if worker is None:
        return
    release(worker)
    if getattr(worker, "retired", False):
        lambda_runtime.kill_workers([worker])


def retire(workers):
    """Lets nobody have these workers any more; returns those that nobody has."""
    with lambda_runtime._lock:
        for entries in lambda_runtime._workers.values():
            entries[:] = [worker for worker in entries if worker not in workers]
        for worker in workers:
            worker.retired = True
        return [worker for worker in workers if not worker.in_use or worker is getattr(own, "worker", None)]


def invalidate(func_name, qualifier=None, account=None, region=None):
    if getattr(own, "keeps_workers", False):
        return
    wanted = [account, region, func_name, qualifier]

    def matches(key):
        return all(want in (None, part) for want, part in zip(wanted, key.split(":", 3)))

    with lambda_runtime._lock:
        workers = [worker for key, entries in lambda_runtime._workers.items() if matches(key) for worker in entries]
    # Nobody gets them any more, so nobody has to wait for their end.
    idle = retire(workers)
    if idle:
        threading.Thread(target=lambda_runtime.kill_workers, args=(idle,), daemon=True).start()


def update_code_if_new(name, data):
    if "S3Bucket" in data and not data.get("Publish"):
        code = lambda_svc._fetch_code_from_s3(data["S3Bucket"], data["S3Key"], version_id=data.get("S3ObjectVersion"))
        known = lambda_svc._functions.get(name, {})
        if code is not None and code == known.get("code_zip"):
            return lambda_svc.json_response(known["config"])
    return update_code(name, data)


def update_config_if_new(name, data):
    before = settings_of(name)
    own.keeps_workers = True
    try:
        answer = update_config(name, data)
    finally:
        own.keeps_workers = False
    if settings_of(name) != before:
        invalidate(name, "$LATEST", lambda_svc.get_account_id(), lambda_svc.get_region())
    return answer


def settings_of(name):
    config = lambda_svc._functions.get(name, {}).get("config", {})
    return copy.deepcopy({key: value for key, value in config.items() if not key.startswith(TOLD_OF_UPDATES)})


for module in (lambda_runtime, lambda_svc):
    module.acquire_worker = acquire_with_code
    module.release_worker = release_and_end
    module.invalidate_worker = invalidate
lambda_svc._update_code = update_code_if_new
lambda_svc._update_config = update_config_if_new
# On AWS a change of code takes about a second. Nothing has to be prepared here.
lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = 0
