//! AWS's JSON protocol, version 1.1, as Rekognition speaks it.

use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

/// A response with its whole body.
pub type ApiResponse = Response<Full<Bytes>>;

/// Bytes of the largest request body that is read: an image of the size of [`crate::objects::MAX_OBJECT_BYTES`] in
/// base64 and some room, so that too large an image gets Rekognition's own error.
pub const MAX_BODY_BYTES: usize = 21 << 20;

/// An operation that this endpoint provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Labels of one picture.
    DetectLabels,
    /// Starts a job that labels a video.
    StartLabelDetection,
    /// What such a job found.
    GetLabelDetection,
}

impl Operation {
    /// The operation that a request's `X-Amz-Target` names.
    ///
    /// # Errors
    /// Rekognition has no such operation, or has it but this endpoint does not.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ApiError> {
        let target = headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        match target.strip_prefix("RekognitionService.") {
            Some("DetectLabels") => Ok(Self::DetectLabels),
            Some("StartLabelDetection") => Ok(Self::StartLabelDetection),
            Some("GetLabelDetection") => Ok(Self::GetLabelDetection),
            Some(name) if NOT_PROVIDED.contains(&name) => Err(ApiError::new(
                ErrorKind::NotProvided,
                format!(
                    "{name} is not provided by the local Rekognition, which has DetectLabels, StartLabelDetection and \
                     GetLabelDetection only"
                ),
            )),
            _ => Err(ApiError::new(
                ErrorKind::UnknownOperation,
                format!("Rekognition has no operation `{target}` (the X-Amz-Target header)"),
            )),
        }
    }
}

impl Operation {
    /// What IAM calls it.
    #[must_use]
    pub fn action(self) -> &'static str {
        match self {
            Self::DetectLabels => "rekognition:DetectLabels",
            Self::StartLabelDetection => "rekognition:StartLabelDetection",
            Self::GetLabelDetection => "rekognition:GetLabelDetection",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.action().trim_start_matches("rekognition:")
    }
}

/// An error as the client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct ApiError {
    /// What AWS calls it.
    pub kind: ErrorKind,
    /// What failed and why.
    pub message: String,
}

impl ApiError {
    /// An error of a kind, with what failed and why.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// The errors of the operations, and those that every AWS service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object, its bucket or the permission to read it is missing.
    InvalidS3Object,
    /// Neither JPEG nor PNG, or damaged.
    InvalidImageFormat,
    /// More bytes than are allowed.
    ImageTooLarge,
    /// A parameter violates a constraint.
    InvalidParameter,
    /// More bytes than a video may have.
    VideoTooLarge,
    /// There is no such job.
    ResourceNotFound,
    /// A `NextToken` that no response gave.
    InvalidPaginationToken,
    /// A `ClientRequestToken` that came with other parameters before.
    IdempotentParameterMismatch,
    /// Too many jobs at a time.
    LimitExceeded,
    /// Calls come too fast.
    ThroughputExceeded,
    /// No policy allows it, or one forbids it.
    AccessDenied,
    /// The caller's temporary credentials are no longer valid.
    ExpiredToken,
    /// The caller does not have the secret that belongs to its access key.
    InvalidSignature,
    /// The request is not signed.
    MissingAuthenticationToken,
    /// The caller's access key is unknown.
    UnrecognizedClient,
    /// The body is not JSON of the expected shape.
    Serialization,
    /// More bytes in the request than are read.
    RequestTooLarge,
    /// Rekognition has no such operation.
    UnknownOperation,
    /// Rekognition has the operation, this endpoint does not.
    NotProvided,
    /// A fault that is not the client's; trying again may help.
    Internal,
}

impl ErrorKind {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidS3Object => "InvalidS3ObjectException",
            Self::InvalidImageFormat => "InvalidImageFormatException",
            Self::ImageTooLarge => "ImageTooLargeException",
            Self::InvalidParameter => "InvalidParameterException",
            Self::VideoTooLarge => "VideoTooLargeException",
            Self::ResourceNotFound => "ResourceNotFoundException",
            Self::InvalidPaginationToken => "InvalidPaginationTokenException",
            Self::IdempotentParameterMismatch => "IdempotentParameterMismatchException",
            Self::LimitExceeded => "LimitExceededException",
            Self::ThroughputExceeded => "ProvisionedThroughputExceededException",
            Self::AccessDenied => "AccessDeniedException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::Serialization => "SerializationException",
            Self::RequestTooLarge => "RequestEntityTooLargeException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::NotProvided => "NotImplementedException",
            Self::Internal => "InternalServerError",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            // Not one of the statuses that SDKs try again.
            Self::NotProvided => StatusCode::NOT_IMPLEMENTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The response to a request that is not looked at, because of who has sent it.
#[must_use]
pub fn refuse(message: &str) -> ApiResponse {
    let error = ApiError::new(ErrorKind::AccessDenied, message);
    let mut response = respond::<()>(Err(&error));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// The response to a request, with an id of its own as AWS's have.
pub fn respond<T: Serialize>(result: Result<T, &ApiError>) -> ApiResponse {
    #[derive(Serialize)]
    struct ErrorBody<'a> {
        #[serde(rename = "__type")]
        kind: &'a str,
        #[serde(rename = "Message")]
        message: &'a str,
    }
    let (status, body) = match result {
        Ok(output) => (StatusCode::OK, serde_json::to_vec(&output)),
        Err(ApiError { kind, message }) => (
            kind.status(),
            serde_json::to_vec(&ErrorBody {
                kind: kind.name(),
                message,
            }),
        ),
    };
    let (status, body) = body.map_or((StatusCode::INTERNAL_SERVER_ERROR, Vec::new()), |body| {
        (status, body)
    });
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("application/x-amz-json-1.1"),
    );
    if let Ok(id) = http::HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// The operations of Rekognition's API reference that this endpoint does not have.
const NOT_PROVIDED: [&str; 72] = [
    "AssociateFaces",
    "CompareFaces",
    "CopyProjectVersion",
    "CreateCollection",
    "CreateDataset",
    "CreateFaceLivenessSession",
    "CreateProject",
    "CreateProjectVersion",
    "CreateStreamProcessor",
    "CreateUser",
    "DeleteCollection",
    "DeleteDataset",
    "DeleteFaces",
    "DeleteProject",
    "DeleteProjectPolicy",
    "DeleteProjectVersion",
    "DeleteStreamProcessor",
    "DeleteUser",
    "DescribeCollection",
    "DescribeDataset",
    "DescribeProjectVersions",
    "DescribeProjects",
    "DescribeStreamProcessor",
    "DetectCustomLabels",
    "DetectFaces",
    "DetectModerationLabels",
    "DetectProtectiveEquipment",
    "DetectText",
    "DisassociateFaces",
    "DistributeDatasetEntries",
    "GetCelebrityInfo",
    "GetCelebrityRecognition",
    "GetContentModeration",
    "GetFaceDetection",
    "GetFaceLivenessSessionResults",
    "GetFaceSearch",
    "GetMediaAnalysisJob",
    "GetPersonTracking",
    "GetSegmentDetection",
    "GetTextDetection",
    "IndexFaces",
    "ListCollections",
    "ListDatasetEntries",
    "ListDatasetLabels",
    "ListFaces",
    "ListMediaAnalysisJobs",
    "ListProjectPolicies",
    "ListStreamProcessors",
    "ListTagsForResource",
    "ListUsers",
    "PutProjectPolicy",
    "RecognizeCelebrities",
    "SearchFaces",
    "SearchFacesByImage",
    "SearchUsers",
    "SearchUsersByImage",
    "StartCelebrityRecognition",
    "StartContentModeration",
    "StartFaceDetection",
    "StartFaceSearch",
    "StartMediaAnalysisJob",
    "StartPersonTracking",
    "StartProjectVersion",
    "StartSegmentDetection",
    "StartStreamProcessor",
    "StartTextDetection",
    "StopProjectVersion",
    "StopStreamProcessor",
    "TagResource",
    "UntagResource",
    "UpdateDatasetEntries",
    "UpdateStreamProcessor",
];

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    fn operation(target: Option<&str>) -> Result<Operation, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(target) = target {
            headers.insert("X-Amz-Target", target.parse().unwrap());
        }
        Operation::from_headers(&headers)
    }

    #[test]
    fn an_operation_is_provided_or_known_or_unknown() {
        assert_eq!(
            operation(Some("RekognitionService.DetectLabels")),
            Ok(Operation::DetectLabels)
        );
        let not_provided = operation(Some("RekognitionService.CompareFaces")).unwrap_err();
        assert_eq!(not_provided.kind, ErrorKind::NotProvided);
        assert!(not_provided.message.contains("CompareFaces"));
        for target in [
            None,
            Some("RekognitionService.Guess"),
            Some("DynamoDB_20120810.DetectLabels"),
        ] {
            assert_eq!(
                operation(target).unwrap_err().kind,
                ErrorKind::UnknownOperation,
                "{target:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_error_has_the_shape_that_sdks_read() {
        let error = ApiError::new(ErrorKind::InvalidS3Object, "no object");
        let response = respond::<Value>(Err(&error));
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "application/x-amz-json-1.1"
        );
        assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
        let body: Value =
            serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes())
                .unwrap();
        assert_eq!(
            body,
            json!({"__type": "InvalidS3ObjectException", "Message": "no object"})
        );
    }

    #[test]
    fn faults_are_told_from_client_errors() {
        let status = |kind| {
            respond::<Value>(Err(&ApiError::new(kind, "")))
                .status()
                .as_u16()
        };
        assert_eq!(status(ErrorKind::Internal), 500);
        assert_eq!(status(ErrorKind::NotProvided), 501);
        assert_eq!(status(ErrorKind::ImageTooLarge), 400);
    }
}
