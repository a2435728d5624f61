"""Lambda's event source mappings of queues.

MiniStack's poller takes a failure report that names no message of the batch for a success, hands out ten
messages at most, and does not wait for a batch to fill. This does as "Using Lambda with Amazon SQS" in Lambda's
developer guide says. A failed message is shown again earlier, see below.
"""
import json
import logging
import time

from ministack.services import lambda_svc, sqs

import observed
import under_way

# Before a failed message is handled again. On AWS it is what is left of the queue's visibility timeout.
MAX_RETRY_WAIT_SECONDS = 2
# Of the text of a message, for people.
MOST_SHOWN_BYTES = 300_000

logger = logging.getLogger("queues")


def receive(queue_url, batch_size):
    """The next batch; none as long as Lambda waits for it to fill."""
    with sqs._queues_lock:
        queue = sqs._get_q(queue_url)
        sqs._expire_retained(queue)
        sqs._dlq_sweep(queue)
        hold_back(queue)
        now = time.time()
        visible_since = [message["visible_at"] for message in queue["messages"] if message["visible_at"] <= now]
        window_seconds = window_of(queue["attributes"]["QueueArn"])
        if len(visible_since) < batch_size and now - min(visible_since, default=now) < window_seconds:
            return []
        return sqs._collect_msgs(queue, batch_size, visibility_timeout_of(queue))


def hold_back(queue):
    """Where chaos.py lets messages come late."""


def listed(queue_url):
    """What a queue holds, for people to look at: a message counts as received by nobody, and stays where it is."""
    with sqs._queues_lock:
        queues = [queue for queue in sqs._queues._data.values() if queue["url"] == queue_url]
        messages = [dict(message) for queue in queues for message in queue["messages"]]
    return [described(message) for message in messages]


def described(message):
    sqs._ensure_msg_fields(message)
    body = message["body"].encode()
    attributes = sqs._build_sys_attrs(message, ["All"]) | message["message_attributes"]
    return {
        "id": message["id"],
        "body": body[:MOST_SHOWN_BYTES].decode(errors="ignore"),
        "body_bytes": len(body),
        "attributes": attributes,
        "sent_at_ms": int(message["sent_at"] * 1000),
        "receive_count": message["receive_count"],
        "visible_at_ms": int(message["visible_at"] * 1000),
        "group": message.get("group_id"),
    }


def visibility_timeout_of(queue):
    return int(queue["attributes"].get("VisibilityTimeout", 30))


def window_of(queue_arn):
    windows = [
        int(mapping.get("MaximumBatchingWindowInSeconds") or 0)
        for _, _, mapping in lambda_svc._iter_all_esms()
        if mapping.get("EventSourceArn") == queue_arn
    ]
    return max(windows, default=0)


def handle(mapping, function, event, batch, queue_url, queue_name):
    with under_way.counted():
        observed.own.request_id = None
        failed = failed_messages(mapping, execute(function, event), batch)
        handled = [message for message in batch if message["id"] not in failed]
        sqs._delete_messages_for_esm(queue_url, {message["receipt_handle"] for message in handled})
        show_again_at = time.time() + MAX_RETRY_WAIT_SECONDS
        for message in batch:
            if message["id"] in failed:
                message["visible_at"] = min(message["visible_at"], show_again_at)
    if failed:
        observed.ring.add(
            "delivery",
            function=function["config"]["FunctionName"],
            source=mapping["EventSourceArn"],
            request_id=observed.own.request_id,
            batch=[{"message": message["id"]} for message in batch],
            failed=[{"message": message["id"]} for message in batch if message["id"] in failed],
            next={"next": "retry", "not_before_ms": show_again_at * 1000},
        )
    count, all_count = len(failed), len(batch)
    mapping["LastProcessingResult"] = f"{count} of {all_count} messages failed" if failed else "OK"
    if failed:
        name = mapping["FunctionName"]
        logger.info("%s failed on %d of %d messages of %s", name, count, all_count, queue_name)


def execute(function, event):
    return lambda_svc._execute_function(function, event)


def failed_messages(mapping, result, batch):
    """The ids of the messages that stay in the queue: all of them, if the function failed or its answer cannot be
    understood."""
    all_ids = {message["id"] for message in batch}
    if result.get("error"):
        return all_ids
    if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
        return set()
    answer = result.get("body")
    if isinstance(answer, str):
        try:
            answer = json.loads(answer) if answer else None
        except ValueError:
            return all_ids
    if not answer:
        return set()
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) else answer
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return all_ids
    ids = [failure.get("itemIdentifier") if isinstance(failure, dict) else None for failure in failures]
    return set(ids) if all(isinstance(id, str) and id in all_ids for id in ids) else all_ids


sqs._receive_messages_for_esm = receive
lambda_svc._run_sqs_batch = handle
