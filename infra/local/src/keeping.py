"""Writes the emulator's state down, and begins with one that was written down; loaded by emulator.py, asked for by
keeping.rs, which says what is kept and when.

MiniStack has a way to persist of its own. It leaves out records of streams and positions, writes when it is told to end
and then only, each service at another moment, and takes what cannot be read for nothing. So this one looks at what
MiniStack's services have in memory: dictionaries of two classes, in their modules. A service that MiniStack adds is kept
without a line here.

What is written is a cut through everything at one moment. For that moment (some milliseconds) no request is answered, no
message is taken from a queue, and what one service hands to another has arrived. Then a copy of the process writes, while
this one goes on. Events that functions handle are part of the state, see asynchronous.py.

A state is pickled, because values are shared: two dictionaries may hold the same list, and one that is read back has to
share it as well. Reading a pickle can run any code, so `Reader` makes only the classes of `CLASSES`, of which none does.
Contents of objects and zips of functions are written once, into files of their own.
"""
import asyncio
import collections
import contextlib
import datetime
import decimal
import hashlib
import importlib
import io
import json
import os
import pickle
import re
import select
import signal
import sys
import time
import warnings

from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from ministack.services import cloudformation, dynamodb, lambda_svc, sqs

import asynchronous
import under_way

# Smaller contents are written with the state, each time.
MIN_CONTENT_BYTES = 4096
# A file of contents is given up when this part of it is still wanted, and what is wanted is written again.
MIN_WANTED_PART = 0.5
# As many files as this are read at a start. Beyond it, the smallest are given up.
MAX_CONTENT_FILES = 64
# How long a cut waits for a deployment, and for what one service hands to another.
DEPLOYMENT_WAIT_SECONDS = 30
HANDING_OVER_WAIT_SECONDS = 2
WRITING_WAIT_SECONDS = 120

# What nobody looks for after a restart, and what grows with every request.
LEFT_OUT = {
    "ministack.services.cloudwatch._metrics",
    "ministack.services.cloudwatch._alarm_history",
    "ministack.services.cloudwatch_logs._log_records",
    "ministack.services.cloudwatch_logs._queries",
    "ministack.services.eventbridge._events_log",
    "ministack.services.sns._sms_messages",
}
# Numbers that must go on where they were: sequence numbers of records.
COUNTERS = [("ministack.services.dynamodb", "_stream_seq_counter"), ("ministack.services.kinesis", "_sequence_counter")]
# What a state may be made of besides plain values.
CLASSES = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (
        collections.OrderedDict,
        collections.defaultdict,
        collections.deque,
        datetime.date,
        datetime.datetime,
        datetime.timedelta,
        datetime.timezone,
        decimal.Decimal,
        AccountRegionScopedDict,
        AccountScopedDict,
        bytearray,
        dict,
        frozenset,
        int,
        list,
        set,
    )
}
KINDS = set(CLASSES.values())
READING_METHODS = {"GET", "HEAD", "OPTIONS"}
READING_ACTION = re.compile(r"(?:Get|List|Describe|Head|Query|Scan|BatchGet|TransactGet|Filter|Simulate|Validate|Assume)")

RESTORED_FROM = os.environ.pop("RESTORED_STATE", None)

changes = 0
# Closed while a cut is made.
gate = asyncio.Event()
gate.set()


class Content(tuple):
    """Where a content is: the name of a file, an offset in it, and a length."""

    __slots__ = ()


class NotKept(Exception):
    pass


async def pass_on(request, send, inside):
    """Counts requests that may have changed something, once they have. To take one for a change that is none costs a state
    that was not needed."""
    global changes
    await gate.wait()
    reads = await is_reading(request)
    try:
        await inside(request, send)
    finally:
        changes += not reads


async def is_reading(request):
    if request.method in READING_METHODS:
        return True
    action = request.headers.get("x-amz-target", "").rpartition(".")[2]
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        found = re.search(rb"(?:^|&)Action=(\w+)", await request.read_body())
        action = found[1].decode() if found else ""
    return READING_ACTION.match(action) is not None


def revision():
    """Another one whenever something may have changed."""
    begun, ended = under_way.begun, under_way.ended
    events_of_stacks = sum(len(events) for events in list(cloudformation._stack_events._data.values()))
    return [changes, begun, ended, events_of_stacks]


def stores():
    """The dictionaries that MiniStack's services have their resources in, by where they are."""
    found = {}
    for module_name, module in sorted(sys.modules.items()):
        if module_name.startswith("ministack.services."):
            for name, value in sorted(vars(module).items()):
                if type(value) in (AccountRegionScopedDict, AccountScopedDict):
                    found.setdefault(id(value), (f"{module_name}.{name}", value))
    return {place: store for place, store in found.values() if place not in LEFT_OUT}


class Folder:
    """A folder that states are written into, one after the other. Contents that an earlier one has written are not
    written again."""

    def __init__(self, path):
        self.path = path
        # By identity: a content does not change. The reference keeps another one from taking its place in memory.
        self.contents = {}
        # What this process has written. Whoever asked for it may not have waited for the answer.
        self.written = {}

    def content(self, data, new, wanted):
        """What stands for a content in the state."""
        if type(data) is not bytes or len(data) < MIN_CONTENT_BYTES:
            return data
        known = self.contents.get(id(data))
        if known is None:
            name, offset = new["name"], new["bytes"]
            known = data, Content((name, offset, len(data)))
            new["bytes"] += len(data)
            new["contents"].append(data)
        wanted[id(data)] = known
        return known[1]

    def names(self):
        return {place[0] for _, place in self.contents.values()}

    def give_up_waste(self):
        """Has contents written again whose files hold little else that is wanted, or are too many."""
        wanted_bytes, file_bytes = collections.Counter(), collections.Counter()
        for _, (name, offset, length) in self.contents.values():
            wanted_bytes[name] += length
            file_bytes[name] = max(file_bytes[name], offset + length)
        kept = [name for name in wanted_bytes if wanted_bytes[name] >= MIN_WANTED_PART * file_bytes[name]]
        kept = sorted(kept, key=lambda name: -wanted_bytes[name])
        if len(kept) > MAX_CONTENT_FILES:
            kept = kept[: MAX_CONTENT_FILES // 2]
        self.contents = {key: known for key, known in self.contents.items() if known[1][0] in kept}


def state_with(content):
    """Everything, as it is now. `content` is called with each content, and returns what stands for it."""
    copies = {}

    def copied(record, member):
        # An object is in the bucket and in the list of its versions, and is to be one object again.
        if id(record) not in copies:
            copies[id(record)] = record, {**record, member: content(record.get(member))}
        return copies[id(record)][1]

    def with_objects(bucket):
        return {**bucket, "objects": {key: copied(record, "body") for key, record in bucket["objects"].items()}}

    def function_with_zip(function):
        versions = {name: copied(version, "code_zip") for name, version in (function.get("versions") or {}).items()}
        return {**copied(function, "code_zip"), "versions": versions}

    def version_with_body(version):
        return {**version, "data": content(version.get("data"))} if "data" in version else version

    # First: what ends meanwhile is done again.
    events = asynchronous.events_under_way()
    kept = {place: dict(store._data) for place, store in stores().items()}

    def change(place, of_value):
        if place in kept:
            kept[place] = {key: of_value(value) for key, value in kept[place].items()}

    change("ministack.services.s3._buckets", with_objects)
    change("ministack.services.s3._object_versions", lambda versions: [version_with_body(one) for one in versions])
    change("ministack.services.lambda_svc._functions", function_with_zip)
    # MiniStack makes it of the items.
    index = dynamodb._INDEX_MEMBERS
    change("ministack.services.dynamodb._tables", lambda table: {k: v for k, v in table.items() if k != index})
    # Lines of logs are many, and were read when they were written.
    change("ministack.services.cloudwatch_logs._log_groups", lambda group: {**group, "streams": {}})
    return {
        "taken_at": time.time(),
        "stopped_seconds": stopped_seconds,
        "endpoint": asynchronous.ENDPOINT,
        "stores": kept,
        "counters": {counter: getattr(sys.modules.get(counter[0]), counter[1], 0) for counter in COUNTERS},
        "events": events,
    }


class Writer(pickle.Pickler):
    def reducer_override(self, value):
        kind = value if isinstance(value, type) else type(value)
        if kind is not Content and kind not in KINDS:
            raise NotKept(f"{kind.__module__}.{kind.__qualname__}")
        return NotImplemented


def pickled(state):
    file = io.BytesIO()
    Writer(file, protocol=5).dump(state)
    return file.getvalue()


class Reader(pickle.Unpickler):
    def __init__(self, file, folder):
        super().__init__(file)
        self.folder = folder

    def find_class(self, module, name):
        if (module, name) == (Content.__module__, Content.__qualname__):
            return self.folder
        kind = CLASSES.get((module, name))
        if kind is None:
            raise pickle.UnpicklingError(f"a kept state holds no {module}.{name}")
        return kind


def pickled_as_far_as_possible(state):
    """A store with something that cannot be written down is left out, and said to be."""
    try:
        return pickled(state), []
    except (NotKept, TypeError, pickle.PicklingError):
        left_out = []
        for place, store in list(state["stores"].items()):
            try:
                pickled(store)
            except (NotKept, TypeError, pickle.PicklingError) as error:
                left_out.append(f"{place}: {error}")
                del state["stores"][place]
        return pickled(state), left_out


folders = {}
# One after the other.
keeping = asyncio.Lock()


def folder_of(path):
    """The folder that states are written into again and again. There is one at the most."""
    if path not in folders:
        folders.clear()
        folders[path] = Folder(path)
    return folders[path]


def is_deploying():
    # One that waits for its first change set to be executed may do so for ever.
    statuses = {stack.get("StackStatus", "") for stack in list(cloudformation._stacks._data.values())}
    return any(status.endswith("_IN_PROGRESS") for status in statuses - {"REVIEW_IN_PROGRESS"})


async def wait_while(condition, seconds):
    give_up_at = time.monotonic() + seconds
    while condition() and time.monotonic() < give_up_at:
        await asyncio.sleep(0.002)
    return not condition()


async def keep(wish):
    """Writes the state into a folder, and says which files it consists of."""
    async with keeping:
        folder = Folder(wish["folder"]) if wish["is_single"] else folder_of(wish["folder"])
        return await keep_in(folder, wish)


async def keep_in(folder, wish):
    # A stack that is half deployed cannot be gone on with after a start.
    if not await wait_while(is_deploying, DEPLOYMENT_WAIT_SECONDS):
        return {"outcome": "failed", "error": "a deployment goes on"}
    before = revision()
    if before == wish.get("revision") and not wish["is_last"]:
        return {"outcome": "unchanged"}
    gate.clear()
    try:
        await wait_while(under_way.is_handing_over, HANDING_OVER_WAIT_SECONDS)
        began = time.monotonic()
        before = revision()
        folder.give_up_waste()
        new = {"name": f"contents-{wish['number']}", "bytes": 0, "contents": []}
        wanted = {}
        with sqs._queues_lock, dynamodb._lock:
            state = state_with(lambda data: folder.content(data, new, wanted))
            child, answer = fork(lambda: write(folder.path, wish["number"], state, new))
        pause_milliseconds = round((time.monotonic() - began) * 1000)
    finally:
        if not wish["is_last"]:
            gate.set()
    written = await asyncio.to_thread(answer_of, child, answer)
    if "error" in written:
        return {"outcome": "failed", **written}
    folder.contents = wanted
    folder.written = {name: file for name, file in folder.written.items() if name in folder.names()}
    folder.written.update(written["files"])
    return {
        "outcome": "written",
        "left_out": written["left_out"],
        "revision": before,
        "state": f"state-{wish['number']}",
        "files": {name: folder.written.get(name) for name in folder.names() | written["files"].keys()},
        "stacks": {stack["StackName"]: template_of(stack) for stack in list(cloudformation._stacks._data.values())},
        "pause_milliseconds": pause_milliseconds,
    }


def fork(work):
    """Does the work in a copy of this process, for which nothing changes any more. Returns its ID, and where it answers.

    The copy has this thread alone. It must not wait for a lock that another may have held, so it writes files, and does
    nothing else.
    """
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        # Python warns of the locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            try:
                result = work()
            except OSError as error:
                result = {"error": f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)}
            except BaseException as error:
                result = {"error": f"{type(error).__name__}: {error}"}
            os.write(sender, json.dumps(result).encode())
        finally:
            os._exit(0)
    os.close(sender)
    return child, receiver


def answer_of(child, receiver):
    give_up_at = time.monotonic() + WRITING_WAIT_SECONDS
    answer = b""
    with open(receiver, "rb", buffering=0) as file:
        while select.select([file], [], [], max(0, give_up_at - time.monotonic()))[0]:
            part = file.read(65536)
            if not part:
                break
            answer += part
        else:
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return json.loads(answer) if answer else {"error": "the process that writes the state has died"}


def template_of(stack):
    return hashlib.sha256((stack.get("_template_body") or "").encode()).hexdigest()


def write(folder, number, state, new):
    """The new files' lengths and hashes by name, and what cannot be written."""
    data, left_out = pickled_as_far_as_possible(state)
    parts = {f"state-{number}": [data]}
    if new["contents"]:
        parts[new["name"]] = new["contents"]
    written = {}
    try:
        for name, contents in parts.items():
            digest, length = hashlib.sha256(), 0
            path = os.path.join(folder, name)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for content in contents:
                    file.write(content)
                    digest.update(content)
                    length += len(content)
                file.flush()
                os.fsync(file.fileno())
            written[name] = {"bytes": length, "sha256": digest.hexdigest()}
    except OSError:
        for name in parts:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))
        raise
    return {"files": written, "left_out": left_out}


# How long the stage was stopped between its first start and this one.
stopped_seconds = 0.0


def restore(path):
    """Begins with a state. Nothing is handled before `resume`."""
    global stopped_seconds
    folder = folder_of(os.path.dirname(path))
    files = {}

    class Read:
        """Makes the content of the place."""

        def __new__(kind, place):
            place = Content(place)
            if place not in contents:
                name, offset, length = place
                if name not in files:
                    files[name] = open(os.path.join(folder.path, name), "rb")
                files[name].seek(offset)
                contents[place] = data = files[name].read(length)
                folder.contents[id(data)] = data, place
            return contents[place]

    contents = {}
    with open(path, "rb") as file:
        state = Reader(file, Read).load()
    for file in files.values():
        file.close()
    for place, items in state["stores"].items():
        module, _, name = place.rpartition(".")
        store = getattr(importlib.import_module(module), name)
        store._data.clear()
        store._data.update(items)
    for (module, name), value in state["counters"].items():
        if value:
            setattr(importlib.import_module(module), name, value)
    pause_seconds = max(0.0, time.time() - state["taken_at"])
    stopped_seconds = state["stopped_seconds"] + pause_seconds
    take_up_queues(state["endpoint"], state["taken_at"], pause_seconds)
    take_up_functions()
    # Nothing is too old because the stage was stopped.
    dynamodb._STREAM_RETENTION_SECONDS += stopped_seconds
    lambda_svc._ensure_poller = lambda: None
    asynchronous.hold(state["events"])


def take_up_queues(endpoint_before, taken_at, pause_seconds):
    """Whoever had a message is gone: the message is shown again, and the attempt does not count."""
    for queue in list(sqs._queues._data.values()):
        for message in queue["messages"]:
            was_received = message.get("receive_count", 0) > 0
            if was_received and message["visible_at"] > taken_at:
                message["receive_count"] -= 1
                message["visible_at"] = taken_at
            elif message["visible_at"] > taken_at:
                message["visible_at"] += pause_seconds
            sent_at = message.get("enqueued_at", message.get("sent_at", taken_at))
            message["enqueued_at"] = sent_at + pause_seconds
    if endpoint_before != asynchronous.ENDPOINT:
        take_up_port(endpoint_before)


def take_up_port(endpoint_before):
    """MiniStack's URLs of queues have the port in them. Data has them only if somebody has put them there."""
    before = endpoint_before.rpartition(":")[2]
    after = asynchronous.ENDPOINT.rpartition(":")[2]
    url = re.compile(rf"(http://(?:localhost|127\.0\.0\.1)):{before}(?=/|$)")

    def moved(value):
        if type(value) is str:
            return url.sub(rf"\1:{after}", value)
        if type(value) is tuple:
            return tuple(map(moved, value))
        if type(value) is list:
            value[:] = map(moved, value)
        elif isinstance(value, dict):
            items = [(moved(key), moved(item)) for key, item in value.items()]
            value.clear()
            value.update(items)
        elif type(value) in (AccountRegionScopedDict, AccountScopedDict):
            moved(value._data)
        return value

    for store in (
        sqs._queue_name_to_url,
        lambda_svc._functions,
        cloudformation._stacks,
        cloudformation._exports,
        cloudformation._change_sets,
    ):
        moved(store)
    # Messages are data.
    queues = {moved(key): queue for key, queue in sqs._queues._data.items()}
    sqs._queues._data.clear()
    sqs._queues._data.update(queues)
    for queue in queues.values():
        for name, value in queue.items():
            if name != "messages":
                queue[name] = moved(value)


def take_up_functions():
    """Whoever would have said that a change of a function is done is gone."""
    for function in list(lambda_svc._functions._data.values()):
        for record in [function, *(function.get("versions") or {}).values()]:
            config = record.get("config") or {}
            if config.get("State") == "Pending":
                config["State"] = "Active"
            if config.get("LastUpdateStatus") == "InProgress":
                config["LastUpdateStatus"] = "Successful"


ensure_poller = lambda_svc._ensure_poller


def resume():
    """Has queues read, and events handled."""
    lambda_svc._ensure_poller = ensure_poller
    if lambda_svc._esms.has_any():
        ensure_poller()
    asynchronous.resume()
