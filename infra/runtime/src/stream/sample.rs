use serde_json::{Value, json};

/// A record as Lambda sends it, changed.
pub(super) fn record(change: impl Fn(&mut Value)) -> Value {
    let mut record = json!({
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_767_605_400,
            "Keys": {"id": {"S": "order-1"}},
            "NewImage": {"id": {"S": "order-1"}, "status": {"S": "paid"}, "cents": {"N": "1995"}},
            "SequenceNumber": "4421584500000000017450439091",
            "SizeBytes": 59,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
    });
    change(&mut record);
    record
}
