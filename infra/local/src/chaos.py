"""Faults in what the emulator does by itself. What goes wrong is decided by the control server, which also tells what is
wanted: see chaos.rs. As long as it wants nothing, nobody is asked, and everything goes its usual way."""
import contextvars
import json
import os
import threading
import urllib.parse
import urllib.request

from ministack.core import lambda_runtime
from ministack.services import lambda_svc, sqs

import asynchronous
import deployed_code
import observed
import queues
from under_way import HandlingThread

# Functions would be handed it as well. None without a control server: then nobody wants anything either.
URL = os.environ.pop("CHAOS_URL", None)

# `on`: whether events are to be late, doubled and lost. `asks`: whether any decision is to be asked for. `endpoints`: the
# variables by which functions find proxies in the place of services. `late_queues`: seconds by the path of the queue's
# URL, whose host has several names.
wanted = {"on": False, "asks": False, "endpoints": {}, "late_queues": {}}
# When a message that is held back would be visible, by its id.
held_back = {}
newly_late = []


def ask(*path):
    """Nothing, if nobody answers any more: then nothing goes wrong any more."""
    if not wanted["asks"]:
        return None
    request = urllib.request.Request(URL + "/".join(map(str, path)), method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except OSError:
        return None


def path_of(url):
    return urllib.parse.urlsplit(url).path


def want(now):
    """Takes over what is wanted. Where functions find the services is part of the environment of their processes: they
    are started anew when they have answered."""
    global wanted
    late_queues = {path_of(url): seconds for url, seconds in now["late_queues"].items()}
    before, wanted = wanted, {**now, "late_queues": late_queues}
    if before["endpoints"] != now["endpoints"]:
        with lambda_runtime._lock:
            workers = [worker for entries in lambda_runtime._workers.values() for worker in entries]
        lambda_runtime.kill_workers(deployed_code.retire(workers))
    with sqs._queues_lock:
        for queue in sqs._queues._data.values():
            if path_of(queue["url"]) not in late_queues:
                show(queue)


environment_of = lambda_svc._provided_worker_env


def environment_with_proxies(config, code_dir, port):
    return environment_of(config, code_dir, port) | wanted["endpoints"]


lambda_svc._provided_worker_env = environment_with_proxies


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
    if not wanted["on"]:
        invoke(function, event)
        return
    name = function["config"]["FunctionName"]
    if is_completion(event) and ask("completions", name):
        tell_of(f"fault: the message that a job has ended does not reach {name}", observed.causes_here())
        return
    in_background(deliver_as_decided, function=function, event=event)


def deliver_as_decided(function, event):
    waits = ask("events", function["config"]["FunctionName"]) or [0]
    tell_of_delivery(waits, observed.causes_here())
    for wait_milliseconds in waits:
        in_background(deliver_after, wait_milliseconds, function=function, event=event)


def deliver_after(wait_milliseconds, function, event):
    ask("held-back", wait_milliseconds)
    invoke(function, event)


lambda_svc.invoke_async_with_retry = deliver

execute = queues.execute


def deliver_batch(function, event):
    """Twice is as after a visibility timeout: what the last delivery answers counts."""
    if not wanted["on"]:
        return execute(function, event)
    waits = ask("events", function["config"]["FunctionName"]) or [0]
    tell_of_delivery(waits, [{"message": record["messageId"]} for record in event["Records"]])
    for wait_milliseconds in waits:
        ask("held-back", wait_milliseconds)
        result = execute(function, event)
    return result


queues.execute = deliver_batch


def tell_of_delivery(waits, causes):
    if waits[0]:
        tell_of(f"fault: delivered {waits[0]} ms late", causes)
    if len(waits) > 1:
        tell_of(f"fault: delivered again, {waits[1] - waits[0]} ms after the first time", causes)


def tell_of(title, causes):
    observed.ring.add("fault", title=title, causes=causes)


def hold_back(queue):
    """Hides messages that nobody has received yet. Asked with the lock of the queues."""
    seconds = wanted["late_queues"].get(path_of(queue["url"]))
    if seconds is None:
        return
    for message in queue["messages"]:
        visible_at = message["sent_at"] + seconds
        if message["receive_count"] == 0 and message["id"] not in held_back and visible_at > message["visible_at"]:
            held_back[message["id"]] = message["visible_at"]
            message["visible_at"] = visible_at
            newly_late.append(message["id"])


def show(queue):
    """Lets messages come that are held back. Asked with the lock of the queues."""
    for message in queue["messages"]:
        visible_at = held_back.pop(message["id"], None)
        if visible_at is not None and message["receive_count"] == 0:
            message["visible_at"] = visible_at


receive = sqs._receive_messages_for_esm


def receive_late(queue_url, batch_size):
    batch = receive(queue_url, batch_size)
    for message in batch:
        held_back.pop(message["id"], None)
    while newly_late:
        id = newly_late.pop()
        seconds = wanted["late_queues"].get(path_of(queue_url), 0)
        ask("late-message")
        tell_of(f"fault: delivered {seconds:g} s late", [{"message": id}])
    return batch


queues.hold_back = hold_back
sqs._receive_messages_for_esm = receive_late


class MortalWorker(lambda_runtime.ProvidedWorker):
    """An execution environment that may be killed some time after it was handed an event, or,
    if that comes first, when it answers. To Lambda both look like a runtime that has crashed."""

    doomed = None

    def invoke(self, event, request_id, **invocation):
        after_milliseconds = ask("invocations", self.func_name)
        self.doomed = None if after_milliseconds is None else request_id
        self.life_seconds = (after_milliseconds or 0) / 1000
        if self.doomed is not None:
            attempt = getattr(observed.own, "attempt", None)
            tell_of(f"fault: killed after {after_milliseconds} ms", [{"invocation": attempt}] if attempt else [])
        return super().invoke(event, request_id, **invocation)

    def kill(self, request_id):
        if self.doomed == request_id:
            self.kill_process()

    def kill_process(self):
        process = self._proc
        if process is not None:
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


def kill(function):
    """Kills the processes of a function, whatever they are at, and tells how many."""
    with lambda_runtime._lock:
        workers = [worker for entries in lambda_runtime._workers.values() for worker in entries]
    workers = [worker for worker in workers if worker.func_name == function and worker._proc is not None]
    for worker in workers:
        worker.kill_process()
    return len(workers)
