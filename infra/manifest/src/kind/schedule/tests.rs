use serde_json::json;

use crate::kind::Schedule;
use crate::manifest::Manifest;
use crate::testing::{complaints, resolve, resources};

/// An app with a function that a schedule invokes.
fn app(expression: &str) -> (Manifest, Schedule) {
    let app = Manifest::new("shop");
    let schedule = app.schedule("nightly", expression);
    app.function("sweep").trigger(schedule.fires());
    (app, schedule)
}

#[test]
fn a_schedule_invokes_its_function_by_a_role_of_its_own() {
    let (app, schedule) = app("cron(0 3 * * ? *)");
    schedule
        .time_zone("Europe/Zurich")
        .retry_attempts(3)
        .event_age_seconds(3600);
    let resources = resources(&app, "");
    let properties = &resources["NightlySchedule"]["Properties"];
    assert_eq!(properties["ScheduleExpression"], "cron(0 3 * * ? *)");
    assert_eq!(properties["ScheduleExpressionTimezone"], "Europe/Zurich");
    assert_eq!(
        properties["Target"],
        json!({
            "Arn": {"Fn::GetAtt": ["SweepFunction", "Arn"]},
            "RoleArn": {"Fn::GetAtt": ["NightlyScheduleRole", "Arn"]},
            "Input": "{\"schedule\":\"nightly\",\"scheduledTime\":\"<aws.scheduler.scheduled-time>\",\"executionId\":\"<aws.scheduler.execution-id>\"}",
            "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 3},
            "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["SweepFailureQueue", "Arn"]}},
        })
    );
    let role = &resources["NightlyScheduleRole"]["Properties"];
    assert_eq!(
        role["Policies"][0]["PolicyDocument"]["Statement"],
        json!([
            {
                "Sid": "Invoke",
                "Effect": "Allow",
                "Action": ["lambda:InvokeFunction"],
                "Resource": {"Fn::GetAtt": ["SweepFunction", "Arn"]},
            },
            {
                "Sid": "KeepFailedEvents",
                "Effect": "Allow",
                "Action": ["sqs:SendMessage"],
                "Resource": {"Fn::GetAtt": ["SweepFailureQueue", "Arn"]},
            },
        ])
    );
    let trust = &role["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(
        (&trust["Principal"], &trust["Condition"]),
        (
            &json!({"Service": "scheduler.amazonaws.com"}),
            &json!({
                "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
                "ArnEquals": {"aws:SourceArn": {"Fn::Sub":
                    "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule-group/default"
                }},
            })
        )
    );
}

#[test]
fn a_canary_is_invoked_by_its_alias() {
    let (app, _) = app("rate(1 hour)");
    let canary = "alarms: true, canary: {percent: 10, minutes: 5}";
    let resources = resources(&app, canary);
    let target = &resources["NightlySchedule"]["Properties"]["Target"];
    assert_eq!(target["Arn"], json!({"Ref": "SweepAlias"}));
}

#[test]
fn an_app_tells_its_schedules() {
    let (app, _) = app("rate(1 hour)");
    let schedules: Vec<_> = resolve(&app, "").schedules().collect();
    let [schedule] = schedules.as_slice() else {
        panic!("{schedules:?}");
    };
    assert_eq!((&*schedule.name, &*schedule.function), ("nightly", "sweep"));
}

#[test]
fn a_schedule_invokes_one_function() {
    let (app, schedule) = app("rate(1 hour)");
    app.schedule("idle", "rate(1 hour)");
    app.function("also").trigger(schedule.fires());
    complaints(&app, "").are(&[
        "function `also` is invoked by schedule `nightly`, as function `sweep` is; a schedule invokes one function",
        "schedule `idle` invokes no function; give a function the trigger `fires()` of it, or remove it",
    ]);
}

#[test]
fn a_function_is_invoked_by_a_schedule_once() {
    let app = Manifest::new("shop");
    let (nightly, hourly) = (
        app.schedule("nightly", "cron(0 3 * * ? *)"),
        app.schedule("hourly", "rate(1 hour)"),
    );
    let sweep = app.function("sweep").trigger(nightly.fires());
    sweep.trigger(hourly.fires());
    complaints(&app, "").are(&[]);
    sweep.trigger(nightly.fires());
    complaints(&app, "")
        .are(&["function `sweep` is invoked by schedule `nightly`, as function `sweep` is"]);
}

#[test]
fn an_expression_is_one_that_fires() {
    for (expression, complaint) in [
        (
            "rate(5 minute)",
            "schedule `nightly` fires at `rate(5 minute)`: the unit of 5 is `minutes`; write `rate(5 minutes)`",
        ),
        (
            "cron(0 3 * * *)",
            "fires at `cron(0 3 * * *)`: it has 5 fields",
        ),
        (
            "cron(0 0 31 2 ? *)",
            "fires at `cron(0 0 31 2 ? *)`, which is never; name a time that some calendar day has",
        ),
        ("at(tomorrow)", "it is not a date and time"),
    ] {
        complaints(&app(expression).0, "").are(&[complaint]);
    }
    // Whether it has been depends on when somebody asks.
    complaints(&app("at(2020-01-01T00:00:00)").0, "").are(&[]);
}

#[test]
fn settings_are_within_awss_limits() {
    let (app, schedule) = app("cron(0 3 * * * *)");
    schedule
        .time_zone("Europe/Zürich")
        .retry_attempts(186)
        .event_age_seconds(59);
    complaints(&app, "").are(&[
        "has an unknown time zone `Europe/Zürich`; did you mean `Europe/Zurich`?",
        "one of its day of month and its day of week must be `?`, and only one",
        "has 186 retry attempts; set `retry_attempts` to 0 to 185",
        "keeps an event for 59 s; set `event_age_seconds` to 60 to 86400",
    ]);
}
