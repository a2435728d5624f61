"""The history of the emulator, bounded in number and in memory; see observed.py."""
import collections
import itertools
import json
import secrets
import threading
import time

MOST_OCCURRENCES = 10_000
MOST_BYTES = 4 << 20


def now_ms():
    return time.time() * 1000


class Ring:
    """The latest occurrences. One is written as JSON when it occurs, and kept as bytes, so that what is kept has a known
    size. The oldest make way for new ones."""

    def __init__(self):
        # Tells this history from that of an earlier start.
        self.run = secrets.token_hex(2)
        self.lock = threading.Lock()
        self.kept = collections.deque()
        self.bytes = 0
        self.next = 0

    def add(self, what, at_ms=None, **members):
        at_ms = now_ms() if at_ms is None else at_ms
        text = json.dumps({"at_ms": at_ms, "what": what, **members}, separators=(",", ":"), ensure_ascii=False)
        # What is no character is no text: half of a pair, in an answer of a function.
        occurrence = text.encode("utf-8", "replace")
        with self.lock:
            self.kept.append(occurrence)
            self.bytes += len(occurrence)
            self.next += 1
            while len(self.kept) > MOST_OCCURRENCES or self.bytes > MOST_BYTES:
                self.bytes -= len(self.kept.popleft())

    def after(self, number):
        """The occurrences from this number on, and how many are not there any more."""
        with self.lock:
            first = self.next - len(self.kept)
            dropped = max(0, first - number)
            kept = itertools.islice(self.kept, max(0, number - first), None)
            return b'{"run":"%s","next":%d,"dropped":%d,"occurrences":[%s]}' % (
                self.run.encode(),
                self.next,
                dropped,
                b",".join(kept),
            )
