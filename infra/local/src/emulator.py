# Runs MiniStack for as long as standard input stays open; see emulator.rs.
import os
import shutil
import signal
import socketserver
import threading
import urllib.parse


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


threading.Thread(target=end_with_standard_input, daemon=True).start()

# The Runtime API that functions poll answers in two small writes. With Nagle's
# algorithm the second waits for the function's delayed acknowledgement: 40 ms
# on every invocation.
socketserver.StreamRequestHandler.disable_nagle_algorithm = True

from ministack.services import apigateway

# MiniStack does not decode `%25` in the path that functions see. The front door
# has done what API Gateway does to a path, and needs it decoded once.
apigateway.decode_http_api_path = urllib.parse.unquote

from ministack import app

app.main()
