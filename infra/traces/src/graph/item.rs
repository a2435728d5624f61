//! What a node is of, and how it reads.

use crate::occurrence::*;
use crate::trace::{Details, Kind};

/// An occurrence that is part of traces.
#[derive(Debug, Clone, Copy)]
pub(super) enum Item<'a> {
    Call(&'a Call),
    Invocation(&'a Invocation, Option<&'a InvocationEnd>),
    Http(&'a HttpRequest),
    Record(&'a StreamRecord),
    Message { id: &'a str, queue: Option<&'a str> },
    Delivery(&'a Delivery),
    Retry(&'a Retry),
    GivenUp(&'a GivenUp),
    Moved(&'a Moved),
    Firing(&'a Firing),
    Fault(&'a Fault),
}

impl Item<'_> {
    /// Whether it has a beginning and an end.
    pub(super) fn takes_time(self) -> bool {
        matches!(self, Self::Call(_) | Self::Invocation(..) | Self::Http(_))
    }

    /// What kind of thing came in, if this came in.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Call(call) => match (&*call.service, &*call.operation) {
                ("s3", _) => Kind::Object,
                ("dynamodb", _) => Kind::Record,
                ("sns" | "sqs", _) => Kind::Message,
                ("events", _) => Kind::Event,
                ("lambda", "Invoke") => Kind::Invoke,
                _ => Kind::Call,
            },
            Self::Invocation(start, _) => match start.trigger.kind {
                TriggerKind::S3 => Kind::Object,
                TriggerKind::Sns | TriggerKind::Sqs => Kind::Message,
                TriggerKind::Stream => Kind::Record,
                TriggerKind::Http => Kind::Request,
                TriggerKind::EventBridge => Kind::Event,
                TriggerKind::Schedule => Kind::Schedule,
                TriggerKind::Invoke => Kind::Invoke,
            },
            Self::Http(_) => Kind::Request,
            Self::Record(_) => Kind::Record,
            Self::Message { .. } => Kind::Message,
            Self::Firing(_) => Kind::Schedule,
            Self::Delivery(_)
            | Self::Retry(_)
            | Self::GivenUp(_)
            | Self::Moved(_)
            | Self::Fault(_) => Kind::Call,
        }
    }

    /// What it is, in a line.
    pub(super) fn title(self) -> String {
        match self {
            Self::Call(call) => match call.resource.as_deref() {
                None | Some("*") => call.operation.clone(),
                Some(resource) => format!("{} {}", call.operation, name_of(resource)),
            },
            Self::Invocation(start, _) => start.function.clone(),
            Self::Http(http) => format!("{} {}", http.method, http.path),
            Self::Record(record) => format!("{} {}", record.event_name, record.keys),
            Self::Message { queue, .. } => match queue {
                Some(queue) => format!("message in {}", name_of(queue)),
                None => "message".to_owned(),
            },
            Self::Delivery(delivery) => {
                let (failed, all) = (delivery.failed.len(), delivery.batch.len());
                match delivery.next {
                    Next::Split { first } => {
                        format!("{failed} of {all} failed: split after {first}")
                    }
                    Next::GiveUp => format!("{failed} of {all} failed"),
                    Next::Filtered if all == 1 => {
                        format!(
                            "not for {}: no filter lets the record pass",
                            delivery.function
                        )
                    }
                    Next::Filtered => {
                        format!(
                            "not for {}: no filter lets {all} records pass",
                            delivery.function
                        )
                    }
                    Next::Done | Next::Retry { .. } => {
                        format!("{failed} of {all} failed: delivered again")
                    }
                }
            }
            Self::Retry(retry) if retry.is_throttled => "throttled: tried again".to_owned(),
            Self::Retry(_) => "failed: tried again".to_owned(),
            Self::GivenUp(given_up) => {
                let condition = &given_up.condition;
                match (&given_up.destination, &given_up.error) {
                    (Some(destination), None) => {
                        format!("{condition}: given up to {}", name_of(destination))
                    }
                    (Some(destination), Some(_)) => {
                        format!(
                            "{condition}: lost, {} did not take it",
                            name_of(destination)
                        )
                    }
                    (None, _) => format!("{condition}: lost, there is no failure destination"),
                }
            }
            Self::Moved(moved) => format!("received too often: moved to {}", name_of(&moved.to)),
            Self::Firing(firing) => format!("schedule {}", name_of(&firing.schedule)),
            Self::Fault(fault) => fault.title.clone(),
        }
    }

    /// Everything that is known of it.
    pub(super) fn details(self) -> Details {
        match self {
            Self::Call(call) => Details::Call(Box::new(call.clone())),
            Self::Invocation(start, end) => Details::Invocation {
                start: Box::new(start.clone()),
                end: end.map(|end| Box::new(end.clone())),
            },
            Self::Http(http) => Details::Http(Box::new(http.clone())),
            Self::Record(record) => Details::Record(record.clone()),
            Self::Message { id, queue } => Details::Message(Sent {
                message_id: id.to_owned(),
                queue: queue.map(str::to_owned),
            }),
            Self::Delivery(delivery) => Details::Delivery(Box::new(delivery.clone())),
            Self::Retry(retry) => Details::Retry(retry.clone()),
            Self::GivenUp(given_up) => Details::GivenUp(Box::new(given_up.clone())),
            Self::Moved(moved) => Details::Moved(moved.clone()),
            Self::Firing(firing) => Details::Firing(firing.clone()),
            Self::Fault(fault) => Details::Fault(fault.clone()),
        }
    }
}

/// What an ARN names, without account, region and kind.
fn name_of(arn: &str) -> &str {
    let Some(rest) = arn.strip_prefix("arn:") else {
        return arn;
    };
    // partition:service:region:account:resource
    let resource = rest.splitn(5, ':').nth(4).unwrap_or(rest);
    let service = rest.split(':').nth(1).unwrap_or_default();
    match service {
        "s3" => resource,
        "scheduler" => resource.rsplit('/').next().unwrap_or(resource),
        "lambda" => resource.strip_prefix("function:").unwrap_or(resource),
        _ => resource
            .split_once('/')
            .map_or(resource, |(_, resource)| resource),
    }
}
