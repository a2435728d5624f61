//! One action that each function's role must lack.

use verify::{Check, PREFIX, Probe, Problem, Stopped};

macro_rules! checks {
    ($($function:literal lacks $lacks:literal of $lacked:ident, has $has:literal of $had:ident;)*) => {
        /// The checks, in the order of [`ROLES`].
        pub(crate) const CHECKS: &[Check] = &[$(Check {
            name: concat!("role-of-", $function),
            what: concat!("the role of ", $function, " lacks ", $lacks),
        }),*];

        const ROLES: &[Role] = &[$(Role {
            function: $function,
            lacks: ($lacks, Of::$lacked),
            has: ($has, Of::$had),
        }),*];
    };
}

/// What an action is about.
#[derive(Clone, Copy)]
enum Of {
    LabelsTable,
    MediaObject,
    MediaTable,
    UserObject,
    UsersTable,
}

struct Role {
    function: &'static str,
    lacks: (&'static str, Of),
    has: (&'static str, Of),
}

checks! {
    "add-video-file" lacks "s3:GetObject" of MediaObject, has "dynamodb:PutItem" of MediaTable;
    "check-email" lacks "dynamodb:DeleteItem" of UsersTable, has "dynamodb:UpdateItem" of UsersTable;
    "count-labels" lacks "dynamodb:Scan" of MediaTable, has "dynamodb:UpdateItem" of LabelsTable;
    "detect-labels" lacks "s3:PutObject" of MediaObject, has "s3:GetObject" of MediaObject;
    "handle-object-created" lacks "dynamodb:Scan" of MediaTable, has "s3:GetObject" of MediaObject;
    "handle-object-removed" lacks "s3:GetObject" of MediaObject, has "dynamodb:DeleteItem" of MediaTable;
    "handle-user-stream" lacks "s3:GetObject" of UserObject, has "s3:PutObject" of UserObject;
    "index-media" lacks "dynamodb:PutItem" of MediaTable, has "dynamodb:Scan" of MediaTable;
    "label-waiting" lacks "dynamodb:Scan" of MediaTable, has "s3:GetObject" of MediaObject;
    "make-thumbnail" lacks "s3:PutObject" of MediaObject, has "s3:GetObject" of MediaObject;
    "media-api" lacks "dynamodb:PutItem" of MediaTable, has "dynamodb:Scan" of MediaTable;
    "users-api" lacks "dynamodb:UpdateItem" of UsersTable, has "dynamodb:PutItem" of UsersTable;
}

pub(crate) async fn run(probe: Probe) -> Result<(), Stopped> {
    for (check, role) in CHECKS.iter().zip(ROLES) {
        let proof = async {
            let lacked = arn(&probe, role.lacks.1)?;
            let had = arn(&probe, role.has.1)?;
            let lacks = (role.lacks.0, lacked.as_str());
            let has = (role.has.0, had.as_str());
            let seen = probe.role_lacks(role.function, lacks, has).await?;
            Ok(((), seen))
        };
        // The others do not build on it.
        let _ = probe.check(check.name, proof).await;
    }
    Ok(())
}

fn arn(probe: &Probe, of: Of) -> Result<String, Problem> {
    let stage = probe.stage();
    let key = format!("{PREFIX}/{}/cat.jpg", probe.run());
    Ok(match of {
        Of::LabelsTable => stage.table_arn(stage.variable("MEDIA_LABELS_TABLE_NAME")?),
        Of::MediaObject => stage.object_arn(stage.variable("MEDIA_BUCKET_NAME")?, &key),
        Of::MediaTable => stage.table_arn(stage.variable("MEDIA_TABLE_NAME")?),
        Of::UserObject => stage.object_arn(stage.variable("USER_BUCKET_NAME")?, &key),
        Of::UsersTable => stage.table_arn(stage.variable("USERS_TABLE_NAME")?),
    })
}
