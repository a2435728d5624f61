//! The template of a function, and its role.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{alarms, canary};
use crate::cloudformation::{DeletionPolicy, Resource, attribute, reference, sub};
use crate::function::Function;
use crate::grant::Grant;
use crate::name;
use crate::policy;
use crate::synthesis::{ARTIFACT_BUCKET, Synthesis};
use crate::trigger::Trigger;

/// What Lambda does by a function's role to trace it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html>
pub(super) const TRACING_ACTIONS: [&str; 2] = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"];

/// Everything that a function may do on every stage.
pub(crate) fn policy(function: &Function) -> Value {
    let log_group = function.logical_id("LogGroup");
    let mut statements = vec![policy::allow(
        "WriteOwnLogs",
        &["logs:CreateLogStream", "logs:PutLogEvents"].map(str::to_owned),
        // Not `Fn::GetAtt`: whether that ends in `:*` depends on who implements it.
        &sub(&format!(
            "arn:${{AWS::Partition}}:logs:${{AWS::Region}}:${{AWS::AccountId}}:log-group:${{{log_group}}}:*"
        )),
    )];
    if function.sends_failures() {
        statements.push(policy::allow(
            "KeepFailedEvents",
            &["sqs:SendMessage".to_owned()],
            &function.failure_queue_arn(),
        ));
    }
    statements.extend(function.triggers().flat_map(Trigger::statements).cloned());
    statements.extend(function.grants().flat_map(Grant::statements).cloned());
    policy::document(&statements)
}

/// What a function that is traced may do besides its own work. A policy of its own, as it
/// depends on the stage and [`policy`] does not.
fn tracing() -> Value {
    let trace = policy::allow("Trace", &TRACING_ACTIONS.map(str::to_owned), &json!("*"));
    policy::document(&[trace])
}

/// The parts of the template that belong to a function, but for what invokes it.
pub(crate) fn synth(synthesis: &mut Synthesis<'_>, function: &Function) {
    let role_id = function.logical_id("Role");
    let code_parameter = function.code_parameter();
    let description = format!("S3 key of the code of {}", function.name());
    synthesis.parameter(code_parameter.clone(), &description);
    let log_group_id = function.logical_id("LogGroup");
    let function_name = name::function(function.name());
    let log_group_name = name::log_group(&function_name);
    synthesis.log_group(&log_group_id, function.origin(), &log_group_name);
    execution_role(synthesis, &role_id, function);

    let stage = synthesis.stage();
    let mut properties = json!({
        "FunctionName": sub(&function_name),
        "Architectures": [stage.architecture.as_str()],
        "Code": {
            "S3Bucket": reference(ARTIFACT_BUCKET),
            "S3Key": reference(&code_parameter),
        },
        "Handler": "bootstrap",
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": reference(&log_group_id)},
        "MemorySize": function.memory_mb(),
        "Role": attribute(&role_id, "Arn"),
        "Runtime": "provided.al2023",
        "Timeout": function.timeout_seconds(),
    });
    if let Some(description) = function.description() {
        properties["Description"] = json!(description);
    }
    if let Some(size) = function.ephemeral_storage_mb() {
        properties["EphemeralStorage"] = json!({"Size": size});
    }
    if let Some(log_level) = function.log_level() {
        properties["LoggingConfig"]["ApplicationLogLevel"] = json!(log_level.as_str());
    }
    if stage.tracing {
        properties["TracingConfig"] = json!({"Mode": "Active"});
    }
    if let Some(reserved_concurrency) = function.reserved_concurrency() {
        properties["ReservedConcurrentExecutions"] = json!(reserved_concurrency);
    }
    if function.grants().any(Grant::is_long_recursive) {
        properties["RecursiveLoop"] = json!("Allow");
    }
    if !function.environment().is_empty() {
        properties["Environment"] = json!({"Variables": function.environment()});
    }
    // A new version has them.
    synthesis.override_properties(&function.logical_id("Function"), &mut properties);
    canary::of_function(synthesis, function, &mut properties);
    let resource = synthesis.tagged("AWS::Lambda::Function", properties);
    synthesis.add(function.logical_id("Function"), function.origin(), resource);
    if function.has_failure_queue() {
        failure_queue(synthesis, function);
    }
    if function.is_asynchronous() {
        event_invoke_config(synthesis, function);
    }
    alarms::of_function(synthesis, function);
}

/// What the functions of an app have in common.
pub(crate) fn synth_common(synthesis: &mut Synthesis<'_>) {
    alarms::of_all(synthesis);
    canary::of_all(synthesis);
}

fn execution_role(synthesis: &mut Synthesis<'_>, logical_id: &str, function: &Function) {
    let mut policies = vec![(function.name(), policy(function))];
    let mut reasons: BTreeMap<&str, &str> = function
        .grants()
        .filter_map(|grant| grant.reason())
        .collect();
    if synthesis.stage().tracing {
        policies.push(("tracing", tracing()));
        reasons.extend(
            TRACING_ACTIONS.map(|action| (action, "a trace has no ARN to restrict the action to")),
        );
    }
    let role = synthesis.role(&policy::trust("lambda"), policies);
    let role = if reasons.is_empty() {
        role
    } else {
        role.metadata(json!({"Unscoped": reasons}))
    };
    synthesis.add(logical_id.to_owned(), function.origin(), role);
}

/// Where a function's events go when its retries are used up.
fn failure_queue(synthesis: &mut Synthesis<'_>, function: &Function) {
    const RETENTION_SECONDS: u32 = 14 * 24 * 60 * 60;

    let queue_id = function.logical_id("FailureQueue");
    let mut properties = json!({
        "MessageRetentionPeriod": RETENTION_SECONDS,
        "SqsManagedSseEnabled": true,
    });
    if function.has_fifo_failure_queue() {
        properties["FifoQueue"] = json!(true);
    }
    let queue = synthesis
        .tagged("AWS::SQS::Queue", properties)
        .deletion_policy(DeletionPolicy::Delete);
    synthesis.add(queue_id.clone(), function.origin(), queue);
    // A queue has one policy.
    let mut statements = synthesis.failure_statements(function);
    if !synthesis.stage().is_plain_http() {
        let tls_only = policy::tls_only_statement("sqs:*", &function.failure_queue_arn());
        statements.insert(0, tls_only);
    }
    if !statements.is_empty() {
        let queue_policy = json!({
            "Queues": [reference(&queue_id)],
            "PolicyDocument": policy::document(&statements),
        });
        synthesis.add(
            format!("{queue_id}Policy"),
            function.origin(),
            Resource::new("AWS::SQS::QueuePolicy", queue_policy),
        );
    }
    if let Some(output) = function.failure_queue_output() {
        let description = format!("Events that {} failed on", function.name());
        synthesis.output(output, &description, &reference(&queue_id));
    }
}

/// How often and how long Lambda tries an asynchronous event.
fn event_invoke_config(synthesis: &mut Synthesis<'_>, function: &Function) {
    const MAXIMUM_RETRY_ATTEMPTS: u32 = 2;
    const MAXIMUM_EVENT_AGE_SECONDS: u32 = 6 * 60 * 60;

    let (qualifier, depends_on) = if synthesis.has_canary() {
        // It is named, not referred to.
        (name::ALIAS, vec![function.logical_id("Alias")])
    } else {
        ("$LATEST", Vec::new())
    };
    let config = Resource::new(
        "AWS::Lambda::EventInvokeConfig",
        json!({
            "FunctionName": reference(&function.logical_id("Function")),
            "Qualifier": qualifier,
            "MaximumRetryAttempts": MAXIMUM_RETRY_ATTEMPTS,
            "MaximumEventAgeInSeconds": MAXIMUM_EVENT_AGE_SECONDS,
            "DestinationConfig": function.on_failure(),
        }),
    )
    .depends_on(depends_on);
    synthesis.add(
        function.logical_id("EventInvokeConfig"),
        function.origin(),
        config,
    );
}
