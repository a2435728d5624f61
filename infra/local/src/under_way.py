"""What functions have still to do; loaded by emulator.py, asked for by quiet.rs.

Events run in threads of their own. A thread counts from the moment at which it is started, so what a request has set
off is counted before the request is answered. A message counts for as long as it is in a queue that a function
reads: it is handled, or handled again, or moved to another queue.
"""
import contextlib
import threading
import types

from ministack.services import lambda_svc, s3, sns, sqs

lock = threading.Lock()
begun = ended = handing_over = 0


class CountedThread(threading.Thread):
    """One that hands an event from one service to another, in milliseconds."""

    hands_over = 1

    def start(self):
        begin(self.hands_over)
        super().start()

    def run(self):
        try:
            super().run()
        finally:
            end(self.hands_over)


class HandlingThread(CountedThread):
    """One that may take long. Its event is written down elsewhere, see asynchronous.py."""

    hands_over = 0


def begin(hands_over=0):
    global begun, handing_over
    with lock:
        begun += 1
        handing_over += hands_over


def end(hands_over=0):
    global ended, handing_over
    with lock:
        ended += 1
        handing_over -= hands_over


def is_handing_over():
    return handing_over > 0


@contextlib.contextmanager
def counted():
    begin()
    try:
        yield
    finally:
        end()


def counts():
    # In this order: what an event sends to a queue is there before the event has ended.
    ended_before = ended
    waiting = waiting_messages()
    with lock:
        return {"begun": begun + waiting, "ended": ended_before}


def waiting_messages():
    mappings = [mapping for _, _, mapping in lambda_svc._iter_all_esms()]
    read = {mapping.get("EventSourceArn") for mapping in mappings if mapping.get("Enabled", True)}
    queues = list(sqs._queues._data.values())
    return sum(len(queue["messages"]) for queue in queues if queue["attributes"].get("QueueArn") in read)


def with_counted_threads(module):
    return types.SimpleNamespace(**{**vars(module), "Thread": CountedThread})


s3.threading = with_counted_threads(s3.threading)
sns._threading = with_counted_threads(sns._threading)
