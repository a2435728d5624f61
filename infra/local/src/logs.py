# The lines that functions write; loaded by emulator.py.
#
# A runtime writes its lines before it answers, so they are in the pipe when the
# answer is there. MiniStack reads the pipe in a thread of its own, and gives the
# thread up to 50 ms for the first line: on a busy machine lines end in the log of
# a later invocation, or nowhere, and a function that writes none takes 50 ms
# longer. Here the invocation waits until the thread has read all that was written.
#
# The memory that a REPORT line tells is that of the largest process that MiniStack
# ever ran, its own helpers among them. Here it is the function's.
import contextlib
import fcntl
import os
import queue
import select
import struct
import subprocess
import termios
import threading
import time

from ministack.core.lambda_runtime import ProvidedWorker
from ministack.services import lambda_svc

READ_BYTES = 65536
LONGEST_WAIT_SECONDS = 5


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
            for line in whole:
                self.put(line.decode("utf-8", errors="replace").rstrip("\r"))

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


# In the thread that invokes and then writes the REPORT line.
invoked = threading.local()
invoke = ProvidedWorker.invoke


def invoke_and_measure(worker, *event, **invocation):
    invoked.peak_memory_mb = 0
    try:
        return invoke(worker, *event, **invocation)
    finally:
        invoked.peak_memory_mb = peak_memory_mb(worker._proc)


def peak_memory_mb(process):
    """The largest resident set that the process ever had, or the present one where there is no /proc."""
    if process is None:
        return 0
    with contextlib.suppress(OSError, ValueError, StopIteration):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return -(-int(line.split()[1]) // 1024)
    with contextlib.suppress(OSError, ValueError):
        measured = subprocess.run(["ps", "-o", "rss=", "-p", str(process.pid)], capture_output=True, text=True)
        return -(-int(measured.stdout) // 1024)
    return 0


ProvidedWorker.invoke = invoke_and_measure
lambda_svc._probe_peak_memory_mb = lambda function: getattr(invoked, "peak_memory_mb", 0)
ProvidedWorker._pump_output = pump_output
ProvidedWorker._drain_stderr_bounded = drain
