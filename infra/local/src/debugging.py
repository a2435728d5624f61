"""A function that is debugged; loaded by emulator.py, and asked by debugging.rs which process waits.

A process of the function starts as ever, and asks for its first event. It gets the event when a debugger has attached to
it: then its breakpoints are set, and the function has its symbols. While the function stands still nobody waits less
patiently than its debugger: not Lambda, which ends an invocation at the function's timeout, and not SQS, which shows a
message to others at the end of the queue's visibility timeout. One invocation runs at a time, so that one process is
debugged, and the next event waits for the end of this one.
"""
import os
import subprocess
import sys
import threading
import time
import types

from ministack.core import lambda_runtime
from ministack.core.lambda_runtime import ProvidedWorker
from ministack.services import lambda_svc

# They are wrapped here.
import logs  # noqa: F401
import queues

# Functions would be handed it as well.
FUNCTION = os.environ.pop("DEBUGGED_FUNCTION", None)

TEN_YEARS_SECONDS = 10 * 365 * 24 * 60 * 60
# The longest visibility timeout that SQS has.
VISIBILITY_TIMEOUT_SECONDS = 12 * 60 * 60
POLL_SECONDS = 0.05

# Where the kernel lets only a process's ancestors debug it, the process itself may let others: PR_SET_PTRACER with
# PR_SET_PTRACER_ANY. What it starts with `exec` stays the same process.
ALLOW_DEBUGGERS = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

# The ids of processes.
waiting = set()
one_at_a_time = threading.Lock()
# Whether the thread starts a process of the function.
starting = threading.local()

invoke = ProvidedWorker.invoke
spawn = ProvidedWorker._spawn
execute = lambda_svc._execute_function_provided_warm
visibility_timeout_of = queues.visibility_timeout_of


def waiting_processes():
    return sorted(waiting)


def start(arguments, **options):
    if getattr(starting, "is_debugged", False) and sys.platform == "linux":
        arguments = [sys.executable, "-I", "-S", "-c", ALLOW_DEBUGGERS, *arguments]
    return subprocess.Popen(arguments, **options)


def spawn_and_wait(worker, init_timeout=None):
    if worker.func_name != FUNCTION:
        return spawn(worker, init_timeout)
    starting.is_debugged = True
    try:
        spawn(worker, init_timeout)
    finally:
        starting.is_debugged = False
    process = worker._proc
    waiting.add(process.pid)
    try:
        while process.poll() is None and not is_traced(process.pid):
            time.sleep(POLL_SECONDS)
    finally:
        waiting.discard(process.pid)
    if worker.invocation:
        worker.invocation.began = time.monotonic()


def is_traced(process_id):
    try:
        with open(f"/proc/{process_id}/status", encoding="ascii") as status:
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in status)
    except OSError:
        # macOS has no /proc. There, `ps` has an X among the flags of such a process.
        shown = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True)
        return "X" in shown.stdout


def invoke_patiently(worker, *event, **invocation):
    if worker.func_name == FUNCTION:
        worker.config = {**worker.config, "Timeout": TEN_YEARS_SECONDS}
    return invoke(worker, *event, **invocation)


def execute_alone(function, event, request_id):
    config = function.get("config") or function
    if config.get("FunctionName") != FUNCTION:
        return execute(function, event, request_id)
    with one_at_a_time:
        return execute(function, event, request_id)


def patient_visibility_timeout_of(queue):
    arn = queue["attributes"]["QueueArn"]
    for _, _, mapping in lambda_svc._iter_all_esms():
        if mapping.get("EventSourceArn") == arn and FUNCTION in mapping.get("FunctionArn", "").split(":"):
            return VISIBILITY_TIMEOUT_SECONDS
    return visibility_timeout_of(queue)


if FUNCTION:
    lambda_runtime.subprocess = types.SimpleNamespace(**{**vars(subprocess), "Popen": start})
    ProvidedWorker._spawn = spawn_and_wait
    ProvidedWorker.invoke = invoke_patiently
    lambda_svc._execute_function_provided_warm = execute_alone
    queues.visibility_timeout_of = patient_visibility_timeout_of
