# The lines that functions write; loaded by emulator.py.
#
# A runtime writes its lines before it answers, so they are in the pipe when the
# answer is there. MiniStack reads the pipe in a thread of its own, and gives the
# thread up to 50 ms for the first line: on a busy machine lines end in the log of
# a later invocation, or nowhere, and a function that writes none takes 50 ms
# longer. Here the invocation waits until the thread has read all that was written.
#
# Lambda's own lines have figures that are measured, and no others: MiniStack tells
# how long the start, the invocation and the reading of the log took in one figure,
# and the memory of the largest process that it ever ran. Of a function that timed
# out, crashed or did not start, they have Lambda's words as well, which MiniStack
# keeps from the log, as it keeps what a function writes before it fails to start.
import contextlib
import dataclasses
import fcntl
import math
import os
import queue
import re
import select
import signal
import struct
import termios
import threading
import time

from ministack.core.lambda_runtime import ProvidedWorker
from ministack.services import lambda_svc

READ_BYTES = 65536
LONGEST_WAIT_SECONDS = 5


class Line(str):
    """A line, and when it was read."""

    at_ms = 0.0


class Pipe:
    """The output of one process. Under the lock, no line is between the pipe and the queue."""

    def __init__(self, stream, lines):
        self.file = stream.fileno()
        self.lines = lines
        self.lock = threading.Lock()
        self.open = True
        self.rest = b""

    def read(self):
        select.select([self.file], [], [])
        with self.lock:
            data = os.read(self.file, READ_BYTES)
            self.open = bool(data)
            *whole, self.rest = (self.rest + data).split(b"\n")
            if not data and self.rest:
                whole = [self.rest]
            at_ms = time.time() * 1000
            for text in whole:
                line = Line(text.decode("utf-8", errors="replace").rstrip("\r"))
                line.at_ms = at_ms
                self.put(line)

    def put(self, line):
        # Rather lose the oldest line than keep the function waiting.
        with contextlib.suppress(queue.Empty):
            while self.lines.full():
                self.lines.get_nowait()
        self.lines.put_nowait(line)

    def is_empty(self):
        with self.lock:
            if not self.open:
                return True
            unread = struct.unpack("i", fcntl.ioctl(self.file, termios.FIONREAD, bytes(4)))[0]
            return unread == 0


def pump_output(worker, stream, lines):
    pipe = Pipe(stream, lines)
    worker.pipe = pipe
    try:
        while pipe.open:
            pipe.read()
    finally:
        with pipe.lock:
            pipe.open = False
            stream.close()


def drain(worker, **_waits):
    give_up = time.monotonic() + LONGEST_WAIT_SECONDS
    while time.monotonic() < give_up:
        pipe = getattr(worker, "pipe", None)
        # The thread of a process that has just begun may not have.
        if pipe and pipe.lines is worker._stderr_queue and pipe.is_empty():
            break
        time.sleep(0.0005)
    return worker._drain_stderr()


def drain_lines(worker):
    """All lines that were read, which are the invocation's, as a text."""
    lines = []
    with contextlib.suppress(queue.Empty):
        while True:
            lines.append(worker._stderr_queue.get_nowait())
    if own_invocation(worker):
        own_invocation(worker).lines += [(line.at_ms, str(line)) for line in lines]
    return "\n".join(lines)


def own_invocation(worker):
    return worker.invocation or getattr(own, "invocation", None)


@dataclasses.dataclass
class Invocation:
    """What was measured of an invocation."""

    began: float = dataclasses.field(default_factory=time.monotonic)
    ended: float | None = None
    init_seconds: float | None = None
    init_logs: list[str] = dataclasses.field(default_factory=list)
    # When each line was read, in milliseconds since the epoch, and the line.
    lines: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    peak_memory_mb: int | None = None
    exit_code: int | None = None

    def end(self, process):
        """Called when the function has answered, or when it is ended or found to have ended."""
        if self.ended is None:
            self.ended = time.monotonic()
            self.exit_code = process.poll() if process else None
            self.peak_memory_mb = peak_memory_mb(process)


def peak_memory_mb(process):
    """The largest resident set that a process ever had. None where there is no /proc, and when the process is gone:
    the kernel's account of a process that has ended includes that of the emulator, which it was forked from."""
    if process is None:
        return None
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return -(-int(line.split()[1]) // 1024)
    return None


# In the thread that invokes and then writes the log.
own = threading.local()
# An execution environment has one invocation at a time.
ProvidedWorker.invocation = None
invoke = ProvidedWorker.invoke
spawn = ProvidedWorker._spawn
record_result = ProvidedWorker._record_result
teardown = ProvidedWorker._teardown
execute = lambda_svc._execute_function_provided_warm


def invoke_and_measure(worker, *event, **invocation):
    own.invocation = worker.invocation = Invocation()
    try:
        return invoke(worker, *event, **invocation)
    finally:
        worker.invocation.end(worker._proc)


def spawn_and_measure(worker, init_timeout=None):
    # The process that is ended first is none of this invocation.
    invocation, worker.invocation = worker.invocation, None
    began = time.monotonic()
    try:
        spawn(worker, init_timeout)
    except Exception:
        if invocation:
            invocation.init_logs.append(worker._drain_stderr())
        raise
    finally:
        worker.invocation = invocation
        if invocation:
            invocation.began = time.monotonic()
            invocation.init_seconds = invocation.began - began


def record_measured_result(worker, generation, request_id, kind, payload):
    # The function waits for the answer to its own: it is as large as it was.
    if worker.invocation and request_id == worker._current_request_id:
        worker.invocation.end(worker._proc)
    return record_result(worker, generation, request_id, kind, payload)


def teardown_and_measure(worker):
    if worker.invocation and worker._proc:
        worker.invocation.end(worker._proc)
    teardown(worker)


class Log(str):
    """A log whose lines end at line feeds. Python sees ends of lines in other characters, too."""

    def splitlines(self):
        return self.split("\n")


def execute_and_report(function, event, request_id):
    own.invocation = None
    result = execute(function, event, request_id)
    invocation = own.invocation
    if invocation is None:
        return result
    config = function.get("config") or function
    lines = [
        f"START RequestId: {request_id} Version: {config.get('Version', '$LATEST')}",
        *filter(None, [*invocation.init_logs, result.get("log")]),
    ]
    status = []
    if result.get("error"):
        error = result["body"] if isinstance(result.get("body"), dict) else {}
        error_type, message = error.get("errorType"), error.get("errorMessage")
        if error_type == "Sandbox.Timedout":
            status = ["Status: timeout"]
            now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
            lines += [f"{now}Z {request_id} {message}", ""]
        else:
            status = ["Status: error"]
            # A function may answer with anything.
            if isinstance(error_type, str) and re.fullmatch(r"[\w.:]+", error_type):
                status.append(f"Error Type: {error_type}")
            if invocation.exit_code is not None:
                message = end_in_words(invocation.exit_code)
            if invocation.exit_code is not None or error_type in ("Runtime.Unknown", "Runtime.InvalidEntrypoint"):
                lines.append(f"RequestId: {request_id} Error: {message}")
    lines += [f"END RequestId: {request_id}", report(request_id, config, invocation, status)]
    # `rie` means that the log has Lambda's lines.
    return {**result, "log": Log("\n".join(lines)), "log_source": "rie"}


def end_in_words(exit_code):
    if exit_code < 0:
        return f"Runtime exited with error: signal: {(signal.strsignal(-exit_code) or str(-exit_code)).lower()}"
    if exit_code > 0:
        return f"Runtime exited with error: exit status {exit_code}"
    return "Runtime exited without providing a reason"


def report(request_id, config, invocation, status):
    duration_ms = (invocation.ended - invocation.began) * 1000
    init_ms = None if invocation.init_seconds is None else invocation.init_seconds * 1000
    memory_mb = invocation.peak_memory_mb
    figures = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {duration_ms:.2f} ms",
        # AWS bills the start as well: https://aws.amazon.com/lambda/pricing/
        f"Billed Duration: {math.ceil(duration_ms + (init_ms or 0))} ms",
        f"Memory Size: {config.get('MemorySize', 128)} MB",
        memory_mb is not None and f"Max Memory Used: {memory_mb} MB",
        init_ms is not None and f"Init Duration: {init_ms:.2f} ms",
        *status,
    ]
    return "\t".join(filter(None, figures))


ProvidedWorker.invoke = invoke_and_measure
ProvidedWorker._spawn = spawn_and_measure
ProvidedWorker._record_result = record_measured_result
ProvidedWorker._teardown = teardown_and_measure
# It would take the lines into the error's message.
ProvidedWorker._init_log_suffix = lambda worker: ""
ProvidedWorker._pump_output = pump_output
ProvidedWorker._drain_stderr = drain_lines
ProvidedWorker._drain_stderr_bounded = drain
lambda_svc._execute_function_provided_warm = execute_and_report
