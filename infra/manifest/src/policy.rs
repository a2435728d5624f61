//! IAM policy documents, and statements that more than one kind of resource has.
//!
//! The same document goes into the template and into `policies/`: resources are
//! CloudFormation expressions, so it holds for every stage, account and region.

use serde_json::{Value, json};

/// A document with these statements.
pub(crate) fn document(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

pub(crate) fn allow(sid: &str, actions: &[String], resource: &Value) -> Value {
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource})
}

/// A document that denies `action` on `resources` to requests without TLS.
pub(crate) fn tls_only(action: &str, resources: &Value) -> Value {
    document(&[tls_only_statement(action, resources)])
}

/// The statement of such a document.
pub(crate) fn tls_only_statement(action: &str, resources: &Value) -> Value {
    json!({
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resources,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    })
}

/// Lets an AWS service, and nothing else, assume a role.
pub(crate) fn trust(service: &str) -> Value {
    document(&[json!({
        "Effect": "Allow",
        "Principal": {"Service": principal(service)},
        "Action": "sts:AssumeRole",
    })])
}

/// The principal of a service, such as `lambda`.
pub(crate) fn principal(service: &str) -> String {
    format!("{service}.amazonaws.com")
}

/// Actions in one order, whatever the declaration's.
pub(crate) fn sorted(actions: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut actions: Vec<String> = actions.into_iter().collect();
    actions.sort();
    actions
}
