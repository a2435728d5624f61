//! The IAM actions that each operation needs.
//!
//! The source is AWS's Service Authorization Reference, with the page of the operation where that
//! has more: <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
//! Often, an action depends on a parameter. Then the method that sets the parameter tells: like
//! an operation, a method of a builder is in the executable only if the code can call it.

use crate::binary::{Binary, Operation};

/// This file, for the error that asks to add to it.
pub const TABLE_FILE: &str = "infra/grants/src/operations.rs";

/// An action that an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// IAM's name of the action.
    action: &'static str,
    when: When,
}

/// When an operation needs an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    /// If the code can call one of these methods of the service's builders.
    Calls(&'static [&'static str]),
    /// The operation works without the action, and better with it.
    Optional,
}

/// What a row of the table tells of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    service: &'static str,
    /// AWS's name of the operation.
    pub(crate) name: &'static str,
    needs: &'static [Need],
}

const fn always(action: &'static str) -> Need {
    let when = When::Always;
    Need { action, when }
}

const fn calls(action: &'static str, methods: &'static [&'static str]) -> Need {
    let when = When::Calls(methods);
    Need { action, when }
}

const fn optional(action: &'static str) -> Need {
    let when = When::Optional;
    Need { action, when }
}

const fn row(service: &'static str, name: &'static str, needs: &'static [Need]) -> Row {
    Row {
        service,
        name,
        needs,
    }
}

/// A stored image, and not the bytes of one.
const IMAGE_IN_S3: &[&str] = &[
    "types::_image::ImageBuilder::s3_object",
    "types::_image::ImageBuilder::set_s3_object",
];

/// A version of a stored image or video. `set_version` does not tell: the SDK calls it itself
/// when it reads an answer with an object in it.
const VERSION_IN_S3: &[&str] = &["types::_s3_object::S3ObjectBuilder::version"];

const TABLE: &[Row] = &[
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html
    row(
        "dynamodb",
        "BatchGetItem",
        &[always("dynamodb:BatchGetItem")],
    ),
    row(
        "dynamodb",
        "BatchWriteItem",
        &[always("dynamodb:BatchWriteItem")],
    ),
    row("dynamodb", "DeleteItem", &[always("dynamodb:DeleteItem")]),
    row("dynamodb", "GetItem", &[always("dynamodb:GetItem")]),
    row("dynamodb", "PutItem", &[always("dynamodb:PutItem")]),
    row("dynamodb", "Query", &[always("dynamodb:Query")]),
    row("dynamodb", "Scan", &[always("dynamodb:Scan")]),
    row("dynamodb", "UpdateItem", &[always("dynamodb:UpdateItem")]),
    // A transaction needs the actions of its parts. A part is made by its builder, and the SDK
    // makes none itself.
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    row(
        "dynamodb",
        "TransactGetItems",
        &[always("dynamodb:GetItem")],
    ),
    row(
        "dynamodb",
        "TransactWriteItems",
        &[
            calls(
                "dynamodb:ConditionCheckItem",
                &["types::_condition_check::ConditionCheckBuilder::build"],
            ),
            calls(
                "dynamodb:DeleteItem",
                &["types::_delete::DeleteBuilder::build"],
            ),
            calls("dynamodb:PutItem", &["types::_put::PutBuilder::build"]),
            calls(
                "dynamodb:UpdateItem",
                &["types::_update::UpdateBuilder::build"],
            ),
        ],
    ),
    row("eventbridge", "PutEvents", &[always("events:PutEvents")]),
    // https://docs.aws.amazon.com/rekognition/latest/dg/security_iam_id-based-policy-examples.html
    // Rekognition reads a stored image with the caller's permissions.
    row(
        "rekognition",
        "DetectLabels",
        &[
            always("rekognition:DetectLabels"),
            calls("s3:GetObject", IMAGE_IN_S3),
            calls("s3:GetObjectVersion", VERSION_IN_S3),
        ],
    ),
    row(
        "rekognition",
        "GetLabelDetection",
        &[always("rekognition:GetLabelDetection")],
    ),
    // A video is always a stored one. The caller passes the role that publishes the end of the job.
    // https://docs.aws.amazon.com/rekognition/latest/dg/api-video-roles.html
    row(
        "rekognition",
        "StartLabelDetection",
        &[
            always("rekognition:StartLabelDetection"),
            always("s3:GetObject"),
            calls("s3:GetObjectVersion", VERSION_IN_S3),
            calls(
                "iam:PassRole",
                &[
                    "operation::start_label_detection::_start_label_detection_input::StartLabelDetectionInputBuilder::notification_channel",
                    "operation::start_label_detection::_start_label_detection_input::StartLabelDetectionInputBuilder::set_notification_channel",
                ],
            ),
        ],
    ),
    // https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    row(
        "s3",
        "AbortMultipartUpload",
        &[always("s3:AbortMultipartUpload")],
    ),
    row("s3", "CompleteMultipartUpload", &[always("s3:PutObject")]),
    row(
        "s3",
        "CopyObject",
        &[always("s3:GetObject"), always("s3:PutObject")],
    ),
    row("s3", "CreateMultipartUpload", &[always("s3:PutObject")]),
    // The SDK calls it for directory buckets, of which it is part of every other call. On
    // general-purpose buckets, which are all that the manifest has, it never does.
    // https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateSession.html
    row("s3", "CreateSession", &[]),
    row(
        "s3",
        "DeleteObject",
        &[
            always("s3:DeleteObject"),
            calls(
                "s3:DeleteObjectVersion",
                &[
                    "operation::delete_object::_delete_object_input::DeleteObjectInputBuilder::version_id",
                    "operation::delete_object::_delete_object_input::DeleteObjectInputBuilder::set_version_id",
                ],
            ),
        ],
    ),
    row(
        "s3",
        "GetObject",
        &[
            always("s3:GetObject"),
            calls(
                "s3:GetObjectVersion",
                &[
                    "operation::get_object::_get_object_input::GetObjectInputBuilder::version_id",
                    "operation::get_object::_get_object_input::GetObjectInputBuilder::set_version_id",
                ],
            ),
            // With it, S3 answers 404 for a key that does not exist; without it, 403.
            // https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
            optional("s3:ListBucket"),
        ],
    ),
    row("s3", "HeadBucket", &[always("s3:ListBucket")]),
    // Who asks for an object's head wants to know whether there is one, and 403 does not tell.
    // https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    row(
        "s3",
        "HeadObject",
        &[
            always("s3:GetObject"),
            always("s3:ListBucket"),
            calls(
                "s3:GetObjectVersion",
                &[
                    "operation::head_object::_head_object_input::HeadObjectInputBuilder::version_id",
                    "operation::head_object::_head_object_input::HeadObjectInputBuilder::set_version_id",
                ],
            ),
        ],
    ),
    row("s3", "ListObjectsV2", &[always("s3:ListBucket")]),
    row(
        "s3",
        "PutObject",
        &[
            always("s3:PutObject"),
            calls(
                "s3:PutObjectAcl",
                &[
                    "operation::put_object::_put_object_input::PutObjectInputBuilder::acl",
                    "operation::put_object::_put_object_input::PutObjectInputBuilder::set_acl",
                ],
            ),
            calls(
                "s3:PutObjectTagging",
                &[
                    "operation::put_object::_put_object_input::PutObjectInputBuilder::tagging",
                    "operation::put_object::_put_object_input::PutObjectInputBuilder::set_tagging",
                ],
            ),
        ],
    ),
    row("s3", "UploadPart", &[always("s3:PutObject")]),
    // The operations on a batch need the actions for a single message.
    // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    row(
        "sqs",
        "ChangeMessageVisibility",
        &[always("sqs:ChangeMessageVisibility")],
    ),
    row(
        "sqs",
        "ChangeMessageVisibilityBatch",
        &[always("sqs:ChangeMessageVisibility")],
    ),
    row("sqs", "DeleteMessage", &[always("sqs:DeleteMessage")]),
    row("sqs", "DeleteMessageBatch", &[always("sqs:DeleteMessage")]),
    row(
        "sqs",
        "GetQueueAttributes",
        &[always("sqs:GetQueueAttributes")],
    ),
    row("sqs", "ReceiveMessage", &[always("sqs:ReceiveMessage")]),
    row("sqs", "SendMessage", &[always("sqs:SendMessage")]),
    row("sqs", "SendMessageBatch", &[always("sqs:SendMessage")]),
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html
    // The key of an encrypted value is granted with the value.
    row(
        "secretsmanager",
        "GetSecretValue",
        &[always("secretsmanager:GetSecretValue")],
    ),
    // https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssystemsmanager.html
    row("ssm", "GetParameter", &[always("ssm:GetParameter")]),
    row("ssm", "GetParameters", &[always("ssm:GetParameters")]),
    row(
        "ssm",
        "GetParametersByPath",
        &[always("ssm:GetParametersByPath")],
    ),
    // The SDK's default chain of credentials has these. All but the first need no permission.
    // https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    row("sts", "AssumeRole", &[always("sts:AssumeRole")]),
    row("sts", "AssumeRoleWithWebIdentity", &[]),
    row("sts", "GetCallerIdentity", &[]),
    row("sso", "GetRoleCredentials", &[]),
    row("ssooidc", "CreateToken", &[]),
];

impl Row {
    /// The row of an operation. The SDK writes acronyms otherwise than AWS: `Arn` for `ARN`.
    pub(crate) fn of(operation: &Operation) -> Option<&'static Self> {
        TABLE.iter().find(|row| {
            row.service == operation.service && row.name.eq_ignore_ascii_case(&operation.name)
        })
    }

    /// The actions that the operation needs when `binary` calls it.
    pub(crate) fn required(&self, binary: &Binary) -> impl Iterator<Item = &'static str> {
        let needs = self.needs.iter().filter(|need| match need.when {
            When::Always => true,
            When::Calls(methods) => methods
                .iter()
                .any(|method| binary.has_builder_method(self.service, method)),
            When::Optional => false,
        });
        needs.map(|need| need.action)
    }

    /// The actions that make the operation better.
    pub(crate) fn optional(&self) -> impl Iterator<Item = &'static str> {
        let needs = self.needs.iter();
        needs
            .filter(|need| need.when == When::Optional)
            .map(|need| need.action)
    }

    /// Whether the operation cannot be called without one of several actions, of which the
    /// binary has to tell which.
    pub(crate) fn depends_on_the_binary(&self) -> bool {
        let is_told = |need: &Need| matches!(need.when, When::Calls(_));
        !self.needs.is_empty() && self.needs.iter().all(is_told)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_operation_has_one_row() {
        let rows: BTreeSet<(&str, String)> = TABLE
            .iter()
            .map(|row| (row.service, row.name.to_ascii_lowercase()))
            .collect();
        assert_eq!(rows.len(), TABLE.len());
    }

    #[test]
    fn actions_are_written_as_iam_has_them() {
        for need in TABLE.iter().flat_map(|row| row.needs) {
            let (service, verb) = need.action.split_once(':').unwrap();
            assert!(
                service
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'3')
            );
            assert!(verb.starts_with(|letter: char| letter.is_ascii_uppercase()));
        }
    }

    #[test]
    fn acronyms_are_found_in_either_spelling() {
        let operation = |name: &str| Operation {
            service: "s3".to_owned(),
            name: name.to_owned(),
        };
        assert_eq!(
            Row::of(&operation("ListObjectsV2")).unwrap().name,
            "ListObjectsV2"
        );
        assert_eq!(
            Row::of(&operation("Listobjectsv2")).unwrap().name,
            "ListObjectsV2"
        );
        assert!(Row::of(&operation("PutBucketPolicy")).is_none());
    }
}
