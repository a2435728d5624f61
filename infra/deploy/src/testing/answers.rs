//! Answers in the forms that AWS documents.

use super::{Answer, CODE_A, STACK, STACK_ID};

/// A query API's answer: the members of its result.
pub(crate) fn query(action: &str, result: &str) -> Answer {
    Answer::new(
        200,
        format!(
            r#"<{action}Response xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <{action}Result>{result}</{action}Result>
  <ResponseMetadata><RequestId>b9b4b068-3a41-11e5-94eb-example</RequestId></ResponseMetadata>
</{action}Response>"#
        ),
    )
}

/// A query API's refusal.
pub(crate) fn query_error(code: &str, message: &str) -> Answer {
    let status = if code == "AccessDenied" { 403 } else { 400 };
    Answer::new(
        status,
        format!(
            r#"<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>
  <RequestId>5ccc7dcd-744c-11e5-be70-example</RequestId>
</ErrorResponse>"#
        ),
    )
}

/// S3's refusal.
pub(crate) fn s3_error(status: u16, code: &str, message: &str) -> Answer {
    Answer::new(
        status,
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>{message}</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"#
        ),
    )
}

/// An answer without a body, as to HEAD.
pub(crate) fn empty(status: u16) -> Answer {
    Answer::new(status, "")
}

/// DescribeStacks: one stack of the tests' app and stage, in a state.
pub(crate) fn stack(status: &str) -> Answer {
    stack_with(status, &[])
}

/// As [`stack`], with parameters.
pub(crate) fn stack_with(status: &str, parameters: &[(&str, &str)]) -> Answer {
    stack_of(status, parameters, &[("app", "app"), ("stage", "dev")], "")
}

/// As [`stack_with`], with tags and further members.
pub(crate) fn stack_of(
    status: &str,
    parameters: &[(&str, &str)],
    tags: &[(&str, &str)],
    more: &str,
) -> Answer {
    let parameters: String = parameters
        .iter()
        .map(|(key, value)| {
            format!("<member><ParameterKey>{key}</ParameterKey><ParameterValue>{value}</ParameterValue></member>")
        })
        .collect();
    let tags: String = tags
        .iter()
        .map(|(key, value)| format!("<member><Key>{key}</Key><Value>{value}</Value></member>"))
        .collect();
    query(
        "DescribeStacks",
        &format!(
            "<Stacks><member>
  <StackName>{STACK}</StackName><StackId>{STACK_ID}</StackId>
  <CreationTime>2026-11-20T08:00:00.000Z</CreationTime>
  <LastUpdatedTime>2026-11-20T08:30:00.250Z</LastUpdatedTime>
  <StackStatus>{status}</StackStatus><DisableRollback>false</DisableRollback>
  <Parameters>{parameters}</Parameters><Tags>{tags}</Tags>
  <Outputs><member><OutputKey>ApiUrl</OutputKey><OutputValue>https://x.example</OutputValue></member></Outputs>
  {more}
</member></Stacks>"
        ),
    )
}

/// DescribeStacks: no such stack.
pub(crate) fn no_stack() -> Answer {
    query_error(
        "ValidationError",
        &format!("Stack with id {STACK} does not exist"),
    )
}

/// CreateChangeSet: accepted.
pub(crate) fn change_set_created() -> Answer {
    query(
        "CreateChangeSet",
        &format!("<Id>{}</Id><StackId>{STACK_ID}</StackId>", change_set_id()),
    )
}

pub(crate) fn change_set_id() -> String {
    "arn:aws:cloudformation:eu-west-1:123456789012:changeSet/xtask-1/1a2345b6-0000-00a0-a123-00abc0abc000".to_owned()
}

/// DescribeChangeSet: ready, with a function that is updated.
pub(crate) fn change_set_ready() -> Answer {
    change_set(
        "CREATE_COMPLETE",
        "AVAILABLE",
        "<Changes><member><Type>Resource</Type><ResourceChange>
  <Action>Modify</Action><LogicalResourceId>ApiFunction</LogicalResourceId>
  <PhysicalResourceId>app-dev-api</PhysicalResourceId>
  <ResourceType>AWS::Lambda::Function</ResourceType><Replacement>False</Replacement>
  <Scope><member>Properties</member></Scope>
  <Details><member><Target><Attribute>Properties</Attribute><Name>Code</Name>
    <RequiresRecreation>Never</RequiresRecreation></Target></member></Details>
</ResourceChange></member></Changes>",
    )
}

/// DescribeChangeSet: failed, and why.
pub(crate) fn change_set_failed(reason: &str) -> Answer {
    change_set(
        "FAILED",
        "UNAVAILABLE",
        &format!("<StatusReason>{reason}</StatusReason><Changes/>"),
    )
}

pub(crate) fn change_set(status: &str, execution: &str, more: &str) -> Answer {
    query(
        "DescribeChangeSet",
        &format!(
            "<ChangeSetName>xtask-1</ChangeSetName><ChangeSetId>{}</ChangeSetId>
<StackId>{STACK_ID}</StackId><StackName>{STACK}</StackName>
<Status>{status}</Status><ExecutionStatus>{execution}</ExecutionStatus>{more}",
            change_set_id()
        ),
    )
}

/// ListChangeSets: these, by name, status, execution status and time.
pub(crate) fn change_sets(summaries: &[(&str, &str, &str, &str)]) -> Answer {
    let members: String = summaries
        .iter()
        .map(|(name, status, execution, created)| {
            format!(
                "<member><ChangeSetName>{name}</ChangeSetName>
  <ChangeSetId>arn:aws:cloudformation:eu-west-1:123456789012:changeSet/{name}/1a2345b6-0000-00a0-a123-00abc0abc000</ChangeSetId>
  <StackId>{STACK_ID}</StackId><StackName>{STACK}</StackName><Status>{status}</Status>
  <ExecutionStatus>{execution}</ExecutionStatus><CreationTime>{created}</CreationTime></member>"
            )
        })
        .collect();
    query(
        "ListChangeSets",
        &format!("<Summaries>{members}</Summaries>"),
    )
}

/// DescribeStackEvents, newest first: id, resource, type, status, reason.
pub(crate) fn events(events: &[(&str, &str, &str, &str, &str)]) -> Answer {
    let members: String = events
        .iter()
        .map(|(id, logical, kind, status, reason)| {
            format!(
                "<member><EventId>{id}</EventId><StackId>{STACK_ID}</StackId><StackName>{STACK}</StackName>
  <LogicalResourceId>{logical}</LogicalResourceId>
  <PhysicalResourceId>{STACK}-{logical}</PhysicalResourceId><ResourceType>{kind}</ResourceType>
  <Timestamp>2026-11-20T08:31:00.000Z</Timestamp><ResourceStatus>{status}</ResourceStatus>
  <ResourceStatusReason>{reason}</ResourceStatusReason></member>"
            )
        })
        .collect();
    query(
        "DescribeStackEvents",
        &format!("<StackEvents>{members}</StackEvents>"),
    )
}

/// ListStackResources: logical id, physical id, type, status, reason.
pub(crate) fn resources(resources: &[(&str, &str, &str, &str, &str)]) -> Answer {
    let members: String = resources
        .iter()
        .map(|(logical, physical, kind, status, reason)| {
            format!(
                "<member><LogicalResourceId>{logical}</LogicalResourceId>
  <PhysicalResourceId>{physical}</PhysicalResourceId><ResourceType>{kind}</ResourceType>
  <LastUpdatedTimestamp>2026-11-20T08:31:00.000Z</LastUpdatedTimestamp>
  <ResourceStatus>{status}</ResourceStatus>
  <ResourceStatusReason>{reason}</ResourceStatusReason></member>"
            )
        })
        .collect();
    query(
        "ListStackResources",
        &format!("<StackResourceSummaries>{members}</StackResourceSummaries>"),
    )
}

/// GetTemplate: AWS has a `?` in the place of every character beyond ASCII.
pub(crate) fn template(body: &str) -> Answer {
    let body = body
        .replace(|letter: char| !letter.is_ascii(), "?")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    query(
        "GetTemplate",
        &format!(
            "<TemplateBody>{body}</TemplateBody><StagesAvailable><member>Original</member></StagesAvailable>"
        ),
    )
}

/// Lambda's description of a function, with the hash of its code.
pub(crate) fn function(name: &str, code_sha256: &str, last_update: &str) -> Answer {
    let body = serde_json::json!({
        "FunctionName": name,
        "FunctionArn": format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}"),
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "CodeSize": 1024,
        "MemorySize": 128,
        "CodeSha256": code_sha256,
        "State": "Active",
        "LastUpdateStatus": last_update,
        "LastUpdateStatusReason": "The image or zip cannot be read",
        "PackageType": "Zip",
    });
    Answer::new(200, body.to_string())
}

/// Lambda's refusal.
pub(crate) fn lambda_error(status: u16, code: &str, message: &str) -> Answer {
    let body = serde_json::json!({"Type": "User", "Message": message, "__type": code});
    Answer::new(status, body.to_string())
}

/// The stack as it is after `spec(CODE_A.0)` was deployed.
pub(crate) fn deployed(status: &str) -> Answer {
    stack_with(
        status,
        &[("ArtifactBucket", "artifacts"), ("ApiCode", CODE_A.0)],
    )
}

/// ListObjectVersions: a version of an object and a delete marker.
pub(crate) fn one_version() -> Answer {
    Answer::new(
        200,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>app-dev-reports</Name><Prefix/><KeyMarker/><VersionIdMarker/><MaxKeys>1000</MaxKeys>
  <IsTruncated>false</IsTruncated>
  <Version><Key>a b.png</Key><VersionId>3/L4kqtJl40Nr8X8gdRQBpUMLUo</VersionId><IsLatest>false</IsLatest>
    <LastModified>2026-11-20T08:00:00.000Z</LastModified><ETag>"fba9dede5f27731c9771645a39863328"</ETag>
    <Size>434234</Size><StorageClass>STANDARD</StorageClass></Version>
  <DeleteMarker><Key>a b.png</Key><VersionId>03jpff543dhffds434rfdsFDN943fdsFkdmqnh892</VersionId>
    <IsLatest>true</IsLatest><LastModified>2026-11-20T08:00:00.000Z</LastModified></DeleteMarker>
</ListVersionsResult>"#,
    )
}

/// ListObjectVersions: nothing.
pub(crate) fn no_versions() -> Answer {
    Answer::new(
        200,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Name>app-dev-reports</Name><Prefix/><KeyMarker/><VersionIdMarker/><MaxKeys>1000</MaxKeys>
  <IsTruncated>false</IsTruncated>
</ListVersionsResult>"#,
    )
}

/// DeleteObjects, quiet: all is deleted.
pub(crate) fn all_deleted() -> Answer {
    Answer::new(
        200,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></DeleteResult>"#,
    )
}
