"""What functions have still to do; loaded by emulator.py, asked for by quiet.rs.

Events run in threads of their own. A thread counts from the moment at which it is started, so what a request has set
off is counted before the request is answered.
"""
import threading
import types

from ministack.services import s3, sns

lock = threading.Lock()
begun = ended = 0


class CountedThread(threading.Thread):
    def start(self):
        global begun
        with lock:
            begun += 1
        super().start()

    def run(self):
        global ended
        try:
            super().run()
        finally:
            with lock:
                ended += 1


def counts():
    with lock:
        return {"begun": begun, "ended": ended}


def with_counted_threads(module):
    return types.SimpleNamespace(**{**vars(module), "Thread": CountedThread})


s3.threading = with_counted_threads(s3.threading)
sns._threading = with_counted_threads(sns._threading)
