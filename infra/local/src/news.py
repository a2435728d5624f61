"""Tells that there is something new to read, so that nobody has to look again and again; loaded by emulator.py, asked for by
news.rs.

`records` counts the records of streams. `logs` counts what the logs of functions show: lines, and calls that were denied.
"""
import asyncio
import threading

from ministack.services import cloudwatch_logs, dynamodb

MAX_PATIENCE_SECONDS = 60

lock = threading.Lock()
counts = {"records": 0, "logs": 0}
# Those who wait: each an event, and the loop that it belongs to.
waiting = set()


def add(what):
    with lock:
        counts[what] += 1
        woken = list(waiting)
        waiting.clear()
    for loop, event in woken:
        loop.call_soon_threadsafe(event.set)


async def answer(query):
    """The counts: at once if they differ from those that the caller knows, or else when they do, or after a while."""
    known = {name: int(query.get(name, ["-1"])[0]) for name in counts}
    patience = min(float(query.get("patience", ["0"])[0]), MAX_PATIENCE_SECONDS)
    waiter = asyncio.get_running_loop(), asyncio.Event()
    with lock:
        if counts != known:
            return dict(counts)
        waiting.add(waiter)
    try:
        await asyncio.wait_for(waiter[1].wait(), patience)
    except asyncio.TimeoutError:
        pass
    finally:
        with lock:
            waiting.discard(waiter)
    return dict(counts)


emit = dynamodb._emit_stream_event
append = cloudwatch_logs._append_log_events


def emit_and_tell(*change, **options):
    emit(*change, **options)
    add("records")


def append_and_tell(*events):
    append(*events)
    add("logs")


dynamodb._emit_stream_event = emit_and_tell
cloudwatch_logs._append_log_events = append_and_tell
