"""Schedules of EventBridge Scheduler; scheduler/mod.rs fires them.

MiniStack looks at its schedules every ten seconds, in UTC whatever their time zone, hands the target an event of its
own if it has no input, replaces no names in the input, tries once, and knows no dead-letter queue.
"""
from ministack.services import scheduler
from ministack.services.cloudformation import provisioners

scheduler.start_scheduler = lambda: None


def listed():
    """What is to be fired, for the stage's scheduler."""
    return [
        {
            "arn": schedule["Arn"],
            "expression": schedule["ScheduleExpression"],
            "timeZone": schedule["ScheduleExpressionTimezone"],
            "isEnabled": schedule["State"] == "ENABLED",
            # Without a start, from its last change on.
            "startsAt": scheduler._to_epoch(schedule["StartDate"]) or schedule["LastModificationDate"],
            "endsAt": scheduler._to_epoch(schedule["EndDate"]),
            "target": schedule["Target"],
        }
        for schedule in list(scheduler._schedules.values())
    ]


# CloudFormation drops the time zone and the dates, and does not say that a schedule has changed.
handlers = provisioners._RESOURCE_HANDLERS["AWS::Scheduler::Schedule"]
create, update = handlers["create"], handlers["update"]


def complete(name, properties):
    window = {"FlexibleTimeWindow": {"Mode": "OFF"}}
    status, _, body = scheduler._update_schedule(name, {**window, **properties})
    if status != 200:
        raise ValueError(f"AWS::Scheduler::Schedule: {body.decode()}")


def create_complete(logical_id, properties, stack_name):
    name, attributes = create(logical_id, properties, stack_name)
    complete(name, properties)
    return name, attributes


def update_complete(name, old_properties, properties, stack_name):
    name, attributes = update(name, old_properties, properties, stack_name)
    complete(name, properties)
    return name, attributes


handlers["create"], handlers["update"] = create_complete, update_complete
