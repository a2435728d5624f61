use crate::detector::{DetectError, LabelDetector};
use crate::key::{BucketName, ObjectKey};

/// A detector that sees in an object what a closure says.
#[derive(Debug)]
pub struct Sees<F>(pub F);

impl<F> LabelDetector for Sees<F>
where
    F: Fn(&ObjectKey) -> Result<Vec<String>, DetectError>,
{
    async fn detect(
        &self,
        _bucket: &BucketName,
        key: &ObjectKey,
    ) -> Result<Vec<String>, DetectError> {
        self.0(key)
    }
}
