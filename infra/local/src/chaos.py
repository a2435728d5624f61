"""Faults in what the emulator does by itself. What goes wrong is decided by the control server; see chaos.rs."""
import contextvars
import json
import os
import threading
import urllib.request

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

import asynchronous
import queues
from under_way import HandlingThread

# Functions would be handed it as well.
URL = os.environ.pop("CHAOS_URL")


def ask(*path):
    """Nothing, if nobody answers any more: then nothing goes wrong any more."""
    request = urllib.request.Request(URL + "/".join(map(str, path)), method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except OSError:
        return None


def in_background(work, *arguments, function, event):
    noted = asynchronous.note(function, event)

    def run():
        work(*arguments, function, event)
        asynchronous.forget(noted)

    HandlingThread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()


invoke = lambda_svc.invoke_async_with_retry


def is_completion(event):
    """Whether Rekognition tells by a topic that a job has ended."""
    record = event.get("Records", [{}])[0] if isinstance(event, dict) else {}
    try:
        message = json.loads(record["Sns"]["Message"])
    except (KeyError, TypeError, ValueError):
        return False
    return isinstance(message, dict) and {"JobId", "API", "Video"} <= message.keys()


def deliver(function, event):
    if is_completion(event) and ask("completions", function["config"]["FunctionName"]):
        return
    in_background(deliver_as_decided, function=function, event=event)


def deliver_as_decided(function, event):
    for wait_milliseconds in ask("events", function["config"]["FunctionName"]) or [0]:
        in_background(deliver_after, wait_milliseconds, function=function, event=event)


def deliver_after(wait_milliseconds, function, event):
    ask("held-back", wait_milliseconds)
    invoke(function, event)


lambda_svc.invoke_async_with_retry = deliver

execute = queues.execute


def deliver_batch(function, event):
    """Twice is as after a visibility timeout: what the last delivery answers counts."""
    for wait_milliseconds in ask("events", function["config"]["FunctionName"]) or [0]:
        ask("held-back", wait_milliseconds)
        result = execute(function, event)
    return result


queues.execute = deliver_batch


class MortalWorker(lambda_runtime.ProvidedWorker):
    """An execution environment that may be killed some time after it was handed an event, or,
    if that comes first, when it answers. To Lambda both look like a runtime that has crashed."""

    doomed = None

    def invoke(self, event, request_id, **invocation):
        after_milliseconds = ask("invocations", self.func_name)
        self.doomed = None if after_milliseconds is None else request_id
        self.life_seconds = (after_milliseconds or 0) / 1000
        return super().invoke(event, request_id, **invocation)

    def kill(self, request_id):
        process = self._proc
        if self.doomed == request_id and process is not None:
            process.kill()
            # It does not come back to poll for the next event.
            process.wait()

    def _build_handler_class(self, generation, pending):
        worker = self

        class RuntimeApi(super()._build_handler_class(generation, pending)):
            def do_GET(self):
                super().do_GET()
                request_id = worker._current_request_id
                if request_id is not None and worker.doomed == request_id:
                    timer = threading.Timer(worker.life_seconds, worker.kill, [request_id])
                    timer.daemon = True
                    timer.start()

        return RuntimeApi

    def _record_result(self, generation, request_id, kind, payload):
        if self.doomed == request_id:
            self.kill(request_id)
            return False
        return super()._record_result(generation, request_id, kind, payload)


lambda_runtime.ProvidedWorker = MortalWorker
