//! What a binary needs beside what its function is granted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::binary::{Binary, Operation};
use crate::operations::Row;

/// An action that a function is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// IAM's name of the action.
    pub action: String,
    /// What the action is on; `None` for every resource.
    pub resource: Option<String>,
    /// The line of the grant.
    pub declared_at: String,
}

/// A difference that is meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Which side of the difference has the action.
    pub direction: Direction,
    /// IAM's name of the action.
    pub action: String,
    /// The line of the exception.
    pub declared_at: String,
}

/// Which side of a difference has the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The binary needs it, and no grant allows it.
    Missing,
    /// A grant allows it, and the binary does not need it.
    Unused,
}

/// A function's binary beside its grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The operations in the binary by AWS's names, each with the actions that it needs.
    pub operations: BTreeMap<String, BTreeSet<&'static str>>,
    /// What does not fit.
    pub findings: Vec<Finding>,
}

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// An operation of which the table does not tell what it needs.
    UnknownOperation {
        /// The service, as the SDK's crate has it.
        service: String,
        /// The operation, as the SDK has it.
        operation: String,
    },
    /// An operation that needs one of several actions, and the binary does not tell which.
    Undecided {
        /// The operation.
        operation: String,
    },
    /// An action that the binary needs, and that no grant allows.
    Missing {
        /// IAM's name of the action.
        action: String,
        /// The operations that need it.
        operations: Vec<String>,
    },
    /// An action that a grant allows, and that the binary does not need.
    Unused {
        /// IAM's name of the action.
        action: String,
        /// What the grant is on; `None` for every resource.
        resource: Option<String>,
        /// The line of the grant.
        declared_at: String,
    },
    /// An exception without the difference that it is for.
    IdleException {
        /// IAM's name of the action.
        action: String,
        /// The line of the exception.
        declared_at: String,
    },
}

impl Comparison {
    /// Compares what `binary` needs with what its function is granted.
    #[must_use]
    pub fn of(binary: &Binary, granted: &[Granted], exceptions: &[Exception]) -> Self {
        let mut operations = BTreeMap::new();
        let mut required: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut optional = BTreeSet::new();
        let mut findings = Vec::new();
        for operation in binary.operations() {
            let Some(row) = Row::of(operation) else {
                let Operation { service, name } = operation.clone();
                findings.push(Finding::UnknownOperation {
                    service,
                    operation: name,
                });
                continue;
            };
            let needs: BTreeSet<&'static str> = row.required(binary).collect();
            if needs.is_empty() && row.depends_on_the_binary() {
                findings.push(Finding::Undecided {
                    operation: row.name.to_owned(),
                });
            }
            for action in &needs {
                required.entry(action).or_default().push(row.name);
            }
            optional.extend(row.optional());
            operations.insert(row.name.to_owned(), needs);
        }
        // What is not known may be what a grant is for.
        let is_known = findings.is_empty();
        let missing = required
            .iter()
            .filter(|(action, _)| granted.iter().all(|granted| granted.action != **action));
        let missing: Vec<Finding> = missing
            .map(|(action, operations)| Finding::Missing {
                action: (*action).to_owned(),
                operations: operations.iter().map(|name| (*name).to_owned()).collect(),
            })
            .collect();
        let unused = granted.iter().filter(|granted| {
            let action = granted.action.as_str();
            is_known && !required.contains_key(action) && !optional.contains(action)
        });
        let unused = unused.cloned().map(|granted| Finding::Unused {
            action: granted.action,
            resource: granted.resource,
            declared_at: granted.declared_at,
        });
        let differences: Vec<Finding> = missing.into_iter().chain(unused).collect();
        let idle = exceptions.iter().filter(|exception| {
            is_known && !differences.iter().any(|finding| exception.is_for(finding))
        });
        let idle: Vec<Finding> = idle
            .map(|exception| Finding::IdleException {
                action: exception.action.clone(),
                declared_at: exception.declared_at.clone(),
            })
            .collect();
        findings.extend(
            differences
                .into_iter()
                .filter(|finding| !exceptions.iter().any(|exception| exception.is_for(finding))),
        );
        findings.extend(idle);
        Self {
            operations,
            findings,
        }
    }
}

impl Exception {
    fn is_for(&self, finding: &Finding) -> bool {
        match (self.direction, finding) {
            (Direction::Missing, Finding::Missing { action, .. })
            | (Direction::Unused, Finding::Unused { action, .. }) => *action == self.action,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(action: &str) -> Granted {
        Granted {
            action: action.to_owned(),
            resource: Some("table `orders`".to_owned()),
            declared_at: "app.rs:7".to_owned(),
        }
    }

    fn exception(direction: Direction, action: &str) -> Exception {
        Exception {
            direction,
            action: action.to_owned(),
            declared_at: "app.rs:9".to_owned(),
        }
    }

    fn unused(action: &str) -> Finding {
        Finding::Unused {
            action: action.to_owned(),
            resource: Some("table `orders`".to_owned()),
            declared_at: "app.rs:7".to_owned(),
        }
    }

    fn missing(action: &str, operation: &str) -> Finding {
        Finding::Missing {
            action: action.to_owned(),
            operations: vec![operation.to_owned()],
        }
    }

    fn findings(binary: &Binary, grants: &[&str], exceptions: &[Exception]) -> Vec<Finding> {
        let grants: Vec<Granted> = grants.iter().map(|action| granted(action)).collect();
        Comparison::of(binary, &grants, exceptions).findings
    }

    #[test]
    fn what_fits_has_no_findings() {
        let binary = Binary::of(&["dynamodb GetItem"], &[]);
        assert_eq!(findings(&binary, &["dynamodb:GetItem"], &[]), []);
        assert_eq!(findings(&Binary::default(), &[], &[]), []);
    }

    #[test]
    fn either_side_of_a_difference_is_found() {
        let binary = Binary::of(&["dynamodb GetItem"], &[]);
        assert_eq!(
            findings(&binary, &["dynamodb:Scan"], &[]),
            [
                missing("dynamodb:GetItem", "GetItem"),
                unused("dynamodb:Scan")
            ]
        );
    }

    #[test]
    fn a_transaction_needs_the_actions_of_its_parts() {
        let transaction = ["dynamodb TransactWriteItems"];
        let parts = [
            "dynamodb types::_put::PutBuilder::build",
            "dynamodb types::_delete::DeleteBuilder::build",
        ];
        let binary = Binary::of(&transaction, &parts);
        let both = ["dynamodb:PutItem", "dynamodb:DeleteItem"];
        assert_eq!(findings(&binary, &both, &[]), []);
        assert_eq!(
            findings(&binary, &["dynamodb:PutItem", "dynamodb:UpdateItem"], &[]),
            [
                missing("dynamodb:DeleteItem", "TransactWriteItems"),
                unused("dynamodb:UpdateItem"),
            ]
        );
        assert_eq!(
            findings(&Binary::of(&transaction, &[]), &[], &[]),
            [Finding::Undecided {
                operation: "TransactWriteItems".to_owned()
            }]
        );
    }

    #[test]
    fn parameters_decide_what_is_needed() {
        let calls = ["rekognition DetectLabels"];
        let of_bytes = Binary::of(&calls, &[]);
        assert_eq!(findings(&of_bytes, &["rekognition:DetectLabels"], &[]), []);
        let of_s3 = Binary::of(
            &calls,
            &["rekognition types::_image::ImageBuilder::s3_object"],
        );
        assert_eq!(
            findings(&of_s3, &["rekognition:DetectLabels"], &[]),
            [missing("s3:GetObject", "DetectLabels")]
        );
    }

    #[test]
    fn an_optional_action_is_neither_missing_nor_unused() {
        let binary = Binary::of(&["s3 GetObject"], &[]);
        assert_eq!(findings(&binary, &["s3:GetObject"], &[]), []);
        let both = ["s3:GetObject", "s3:ListBucket"];
        assert_eq!(findings(&binary, &both, &[]), []);
        let head = Binary::of(&["s3 HeadObject"], &[]);
        assert_eq!(
            findings(&head, &["s3:GetObject"], &[]),
            [missing("s3:ListBucket", "HeadObject")]
        );
    }

    #[test]
    fn an_exception_takes_its_difference_and_no_other() {
        let binary = Binary::of(&["sts AssumeRole"], &[]);
        let exceptions = [
            exception(Direction::Missing, "sts:AssumeRole"),
            exception(Direction::Unused, "kms:Decrypt"),
        ];
        assert_eq!(findings(&binary, &["kms:Decrypt"], &exceptions), []);
        let wrong_side = [exception(Direction::Unused, "sts:AssumeRole")];
        assert_eq!(
            findings(&binary, &[], &wrong_side),
            [
                missing("sts:AssumeRole", "AssumeRole"),
                Finding::IdleException {
                    action: "sts:AssumeRole".to_owned(),
                    declared_at: "app.rs:9".to_owned(),
                },
            ]
        );
    }

    #[test]
    fn nothing_is_called_unused_beside_an_operation_that_is_not_known() {
        let binary = Binary::of(&["s3 PutBucketPolicy"], &[]);
        let idle = [exception(Direction::Unused, "s3:PutBucketPolicy")];
        assert_eq!(
            findings(&binary, &["s3:PutBucketPolicy"], &idle),
            [Finding::UnknownOperation {
                service: "s3".to_owned(),
                operation: "PutBucketPolicy".to_owned(),
            }]
        );
    }

    #[test]
    fn directory_buckets_sessions_need_nothing_of_general_purpose_buckets() {
        assert_eq!(
            findings(&Binary::of(&["s3 CreateSession"], &[]), &[], &[]),
            []
        );
    }
}
