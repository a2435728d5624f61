# What another user of the machine tries. Standard input says what there is: {"files", "processes", "requests"}; what
# succeeded goes to standard output.
import http.client
import json
import os
import sys

given = json.load(sys.stdin)


def readable(path):
    try:
        with open(path, "rb") as file:
            file.read(1)
        return True
    except OSError:
        return False


def answer(port, method, path, headers, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body=body, headers=headers)
        return connection.getresponse().status
    except TimeoutError:
        return "silence"
    except (OSError, http.client.HTTPException):
        return "closed"
    finally:
        connection.close()


def searched(folder):
    return [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]


files = sorted({*given["files"], *searched(given["folder"])})
result = {
    "user": os.geteuid(),
    "files": [path for path in files if readable(path)],
    "environments": [process for process in given["processes"] if readable(f"/proc/{process}/environ")],
    "answers": [[request, answer(*request)] for request in given["requests"]],
}
json.dump(result, sys.stdout)
