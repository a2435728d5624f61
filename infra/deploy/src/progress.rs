//! What a long operation tells while it runs.

/// Receives [`Progress`] events, in order.
pub type Report<'a> = &'a (dyn Fn(Progress) + Sync);

/// One step of a long operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The bootstrap stack with the artifact bucket is being created.
    CreatingBootstrap {
        /// Its name.
        stack: String,
    },
    /// A function's code is being uploaded.
    Uploading {
        /// The function.
        function: String,
        /// The size of its zip.
        bytes: u64,
    },
    /// The artifact bucket has this code already.
    AlreadyUploaded {
        /// The function.
        function: String,
    },
    /// A change set is being created.
    Planning {
        /// The stack.
        stack: String,
    },
    /// An earlier, failed creation is being removed first.
    RemovingFailedStack {
        /// The stack.
        stack: String,
    },
    /// CloudFormation reported something about a resource.
    Resource(ResourceEvent),
    /// Objects were deleted from a bucket.
    Emptied {
        /// The bucket.
        bucket: String,
        /// Object versions and delete markers deleted so far.
        versions: u64,
    },
}

/// A line of CloudFormation's event log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ResourceEvent {
    /// The resource's name in the template.
    pub logical_id: String,
    /// Its name or ARN in the account, once it has one.
    pub physical_id: String,
    /// For example `AWS::S3::Bucket`.
    pub resource_type: String,
    /// For example `CREATE_IN_PROGRESS`.
    pub status: String,
    /// Why, mostly on failure.
    pub reason: Option<String>,
}

impl ResourceEvent {
    /// Whether this says that an operation on the resource failed.
    pub fn failed(&self) -> bool {
        self.status.ends_with("_FAILED")
    }

    /// Whether an operation on the resource ended well.
    pub fn complete(&self) -> bool {
        self.status.ends_with("_COMPLETE")
    }
}
