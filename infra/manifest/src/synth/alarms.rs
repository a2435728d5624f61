//! Alarms on what functions fail to do.

use serde_json::{Value, json};

use super::Synthesis;
use crate::cloudformation::{Resource, attribute, reference, sub};
use crate::origin::Origin;
use crate::resolve::Function;
use crate::stage::Alarms;

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

impl Synthesis<'_> {
    /// The alarms of `function`, if the stage has alarms.
    ///
    /// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>
    pub(super) fn alarms(&mut self, function: &Function) {
        if self.app.stage().alarms == Alarms::Off {
            return;
        }
        let origin = self.app.stage().origin_of(&["alarms".to_owned()]);
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
        self.alarm(function.logical_id("ErrorsAlarm"), origin, errors);
        let throttles = lambda(
            "Throttles",
            format!("{name} was not invoked for want of concurrency"),
        );
        self.alarm(function.logical_id("ThrottlesAlarm"), origin, throttles);

        let ages = function.item_changes();
        if let Some(age_seconds) = ages.map(|(_, changes)| changes.record_age_seconds).min() {
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
            self.alarm(
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
                description: format!("Events that {name} failed on wait in its failure queue"),
            };
            self.alarm(function.logical_id("FailureQueueAlarm"), origin, depth);
        }
    }

    /// The alarm on which CloudFormation takes a deployment back, if the stage wants that. It
    /// is one of all functions' errors, as CloudFormation watches five alarms at most.
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-rollback-triggers.html>
    pub(super) fn rollback_alarm(&mut self) {
        let Some(output) = self.app.rollback_alarm_output() else {
            return;
        };
        const LOGICAL_ID: &str = "RollbackAlarm";
        let errors: Vec<String> = self
            .app
            .functions()
            .map(|function| format!("ALARM(\"${{{}}}\")", function.logical_id("ErrorsAlarm")))
            .collect();
        let alarm = Resource::new(
            "AWS::CloudWatch::CompositeAlarm",
            json!({
                "AlarmDescription": "Invocations of a function failed",
                "AlarmRule": sub(&errors.join(" OR ")),
            }),
        )
        .tagged(&self.tags);
        let setting = ["rollback_on_alarm_minutes".to_owned()];
        let origin = self.app.stage().origin_of(&setting);
        self.add(LOGICAL_ID.to_owned(), origin, alarm);
        self.template.output(
            output.to_owned(),
            "ARN of the alarm on which a deployment is taken back",
            &attribute(LOGICAL_ID, "Arn"),
        );
    }

    fn alarm(&mut self, logical_id: String, origin: Origin, metric: Metric) {
        let stage = self.app.stage();
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
        let alarm = Resource::new("AWS::CloudWatch::Alarm", properties).tagged(&self.tags);
        self.add(logical_id, origin, alarm);
    }
}
