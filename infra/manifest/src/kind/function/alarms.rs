//! Alarms on what functions fail to do.

use serde_json::{Value, json};

use crate::cloudformation::{attribute, reference, sub};
use crate::function::Function;
use crate::origin::Origin;
use crate::stage::{Alarms, Stage};
use crate::synthesis::Synthesis;

/// How long a metric is looked at as a whole: as shortly as Lambda and SQS report.
const PERIOD_SECONDS: u32 = 60;

/// What an alarm is about.
struct Metric {
    namespace: &'static str,
    name: &'static str,
    dimension: (&'static str, Value),
    statistic: &'static str,
    /// The greatest value without an alarm.
    threshold: u64,
    description: String,
}

/// The alarms of `function`, if the stage has alarms.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>
pub(super) fn of_function(synthesis: &mut Synthesis<'_>, function: &Function) {
    if synthesis.stage().alarms == Alarms::Off {
        return;
    }
    let origin = synthesis.stage().origin_of(&["alarms".to_owned()]);
    let name = function.name();
    let lambda = |metric, description| Metric {
        namespace: "AWS/Lambda",
        name: metric,
        dimension: ("FunctionName", reference(&function.logical_id("Function"))),
        statistic: "Sum",
        threshold: 0,
        description,
    };
    let errors = lambda("Errors", format!("Invocations of {name} failed"));
    alarm(
        synthesis,
        function.logical_id("ErrorsAlarm"),
        origin,
        errors,
    );
    let throttles = lambda(
        "Throttles",
        format!("{name} was throttled: the account had no concurrency left"),
    );
    alarm(
        synthesis,
        function.logical_id("ThrottlesAlarm"),
        origin,
        throttles,
    );

    if let Some(age_seconds) = function.record_age_seconds() {
        // The other half is left to do something.
        let threshold_seconds = age_seconds / 2;
        let description = format!(
            "{name} is {threshold_seconds} s behind its stream and gives records up after {age_seconds} s"
        );
        let iterator_age = Metric {
            statistic: "Maximum",
            threshold: u64::from(threshold_seconds) * 1000,
            ..lambda("IteratorAge", description)
        };
        alarm(
            synthesis,
            function.logical_id("IteratorAgeAlarm"),
            origin,
            iterator_age,
        );
    }
    if function.has_failure_queue() {
        let queue = attribute(&function.logical_id("FailureQueue"), "QueueName");
        let depth = Metric {
            namespace: "AWS/SQS",
            name: "ApproximateNumberOfMessagesVisible",
            dimension: ("QueueName", queue),
            statistic: "Maximum",
            threshold: 0,
            description: format!("The failure queue of {name} holds events"),
        };
        alarm(
            synthesis,
            function.logical_id("FailureQueueAlarm"),
            origin,
            depth,
        );
    }
}

/// The alarm on which CloudFormation takes a deployment back, if the stage wants that. It
/// is one of all functions' errors, as CloudFormation watches five alarms at most.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-rollback-triggers.html>
pub(super) fn of_all(synthesis: &mut Synthesis<'_>) {
    let Some(output) = rollback_output(synthesis.stage()) else {
        return;
    };
    const LOGICAL_ID: &str = "RollbackAlarm";
    let errors: Vec<String> = synthesis
        .functions()
        .iter()
        .map(|function| format!("ALARM(\"${{{}}}\")", function.logical_id("ErrorsAlarm")))
        .collect();
    let alarm = synthesis.tagged(
        "AWS::CloudWatch::CompositeAlarm",
        json!({
            "AlarmDescription": "Invocations of a function failed",
            "AlarmRule": sub(&errors.join(" OR ")),
        }),
    );
    let setting = ["rollback_on_alarm_minutes".to_owned()];
    let origin = synthesis.stage().origin_of(&setting);
    synthesis.add(LOGICAL_ID.to_owned(), origin, alarm);
    synthesis.output(
        output.to_owned(),
        "ARN of the alarm that rolls a deployment back",
        &attribute(LOGICAL_ID, "Arn"),
    );
}

fn alarm(synthesis: &mut Synthesis<'_>, logical_id: String, origin: Origin, metric: Metric) {
    let stage = synthesis.stage();
    let (dimension, value) = metric.dimension;
    let mut properties = json!({
        "AlarmDescription": metric.description,
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": dimension, "Value": value}],
        "Statistic": metric.statistic,
        "Period": PERIOD_SECONDS,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": metric.threshold,
        // Nothing happened.
        "TreatMissingData": "notBreaching",
    });
    if let Alarms::Topic(topic_arn) = &stage.alarms {
        properties["AlarmActions"] = json!([topic_arn]);
        properties["OKActions"] = json!([topic_arn]);
    }
    let alarm = synthesis.tagged("AWS::CloudWatch::Alarm", properties);
    synthesis.add(logical_id, origin, alarm);
}

/// The stack output with the ARN of the alarm on which CloudFormation takes a deployment back.
pub(crate) fn rollback_output(stage: &Stage) -> Option<&'static str> {
    stage.rollback_on_alarm_minutes.map(|_| "RollbackAlarmArn")
}
