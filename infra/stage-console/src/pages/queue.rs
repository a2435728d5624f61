//! Queues: those of the app, and those of what functions have failed on.

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use deploy::{FailedEvent, Subject};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::Value;

use super::{Reply, Visit};
use crate::fields::Fields;
use crate::host::{QueuedMessage, RedriveWish, Redriven};
use crate::layout::{
    Page, Section, bytes, count, danger, declared_at, form, shown, shown_json, time,
};
use crate::problem::{Problem, Result};

/// Messages on a page; a queue may hold any number.
const SHOWN: usize = 100;

async fn messages(visit: &Visit, url: &str) -> Result<Vec<QueuedMessage>> {
    visit
        .stage
        .host
        .messages(url)
        .await
        .map_err(Problem::failed)
}

/// A queue of the app.
pub(super) async fn show(visit: &Visit, name: &str) -> Result<Page> {
    let (node, url) = visit.stage.resource("queue", name).await?;
    let messages = messages(visit, &url).await?;
    let body = html! {
        p.facts {
            code { (url.rsplit('/').next().unwrap_or_default()) }
            (declared_at(node.declared_at.as_deref()))
        }
        section #messages data-live aria-label="Messages" {
            (list(&messages, |message| html! { (body_of(message)) }))
        }
        section aria-label="Send" {
            h2 { "Send a message" }
            (form(&format!("/data/queue/{name}/send"), visit.token(), &html! {
                label { "Message" textarea.code name="message" rows="6" required spellcheck="false" {} }
                @if url.ends_with(".fifo") {
                    label { "Group" input name="group" required value="1"; }
                }
                button.main type="submit" { "Send" }
            }))
        }
    };
    Ok(Page::new(Section::Data, format!("Queue {name}"), body).below("Data", "/data"))
}

fn list(messages: &[QueuedMessage], content: impl Fn(&QueuedMessage) -> Markup) -> Markup {
    let number = u64::try_from(messages.len()).unwrap_or_default();
    html! {
        @if messages.is_empty() {
            p.empty { "The queue is empty." }
        } @else {
            p.dim {
                (count(number, "message"))
                @if messages.len() > SHOWN { ", the first " (SHOWN) " of them here" }
            }
            ol.messages {
                @for message in messages.iter().take(SHOWN) {
                    li id=(format!("message-{}", message.id)) {
                        p.facts {
                            (time(message.sent_at_ms))
                            code { (shown(&message.id)) }
                            @if let Some(group) = &message.group { span.tag { "group " (shown(group)) } }
                            (state(message))
                        }
                        (content(message))
                    }
                }
            }
        }
    }
}

/// Who may have a message now.
fn state(message: &QueuedMessage) -> Markup {
    let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
    let seconds = message.visible_at_ms.saturating_sub(now).div_ceil(1000);
    html! {
        @if message.receive_count > 0 { span.dim { "received " (count(message.receive_count, "time")) } }
        @if seconds > 0 {
            span.tag {
                @if message.receive_count > 0 { "being handled, back in " } @else { "delayed, due in " }
                (seconds) " s"
            }
        }
    }
}

fn body_of(message: &QueuedMessage) -> Markup {
    html! {
        pre.code tabindex="0" { (pretty(&message.body)) }
        (cut(message))
    }
}

fn cut(message: &QueuedMessage) -> Markup {
    let is_cut = message.body_bytes > u64::try_from(message.body.len()).unwrap_or_default();
    html! {
        @if is_cut { p.dim { "The beginning of " (bytes(message.body_bytes)) "." } }
    }
}

/// JSON line by line, other text as it is.
fn pretty(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => shown_json(&serde_json::to_string_pretty(&value).unwrap_or_default()),
        Err(_) => shown(text),
    }
}

/// Sends a message.
pub(super) async fn send(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let (_, url) = visit.stage.resource("queue", name).await?;
    let message = form.text("message");
    if message.is_empty() {
        return Err(
            Problem::mistake("the message is empty").hint("SQS does not accept an empty message")
        );
    }
    let mut send = visit
        .stage
        .sqs
        .send_message()
        .queue_url(&url)
        .message_body(message);
    if url.ends_with(".fifo") {
        send = send
            .message_group_id(form.get("group").unwrap_or("1"))
            .message_deduplication_id(uuid::Uuid::new_v4().to_string());
    }
    let sent = send
        .send()
        .await
        .map_err(|error| Problem::of_aws(&format!("send to {name}"), &error))?;
    let id = sent.message_id().unwrap_or_default();
    Ok(Reply::done(
        format!("/data/queue/{name}"),
        format!("Sent message {id}"),
    ))
}

/// What a function has failed on.
pub(super) async fn failures(visit: &Visit, name: &str) -> Result<Page> {
    let function = visit.stage.function(name)?;
    let output = function.failure_queue_output.ok_or_else(|| {
        Problem::missing(format!(
            "{name} has no failure queue: its caller gets its errors"
        ))
    })?;
    let outputs = visit.stage.outputs().await?;
    let url = outputs
        .get(&output)
        .ok_or_else(|| Problem::missing(format!("the failure queue of {name} is not deployed")))?;
    let messages = messages(visit, url).await?;
    let path = format!("/data/failures/{name}");
    let body = html! {
        p.lead {
            "Events that " a href=(format!("/functions/{name}")) { (name) }
            " failed to handle in all its attempts. Redrive invokes it again with each event. A handled event leaves the queue."
        }
        @if !messages.is_empty() {
            div.tools {
                (form(&format!("{path}/redrive"), visit.token(), &html! {
                    button.main type="submit" { "Redrive all" }
                }))
                (danger(&format!("{path}/drop"), visit.token(), "Drop all", "This deletes the events. No function handles them.", &[]))
            }
        }
        section #messages data-live aria-label="Events" {
            (list(&messages, |message| failure(visit, &path, message)))
        }
    };
    Ok(Page::new(Section::Data, format!("Failure queue of {name}"), body).below("Data", "/data"))
}

/// A message of a failure queue: why, what, and what can be done.
fn failure(visit: &Visit, path: &str, message: &QueuedMessage) -> Markup {
    let event = FailedEvent::of_message(received(message));
    let id = [("message", message.id.as_str())];
    html! {
        p.reason {
            @if let Some(condition) = &event.condition { strong { (shown(condition)) } }
            @if let Some(attempts) = event.attempts { " after " (count(attempts, "attempt")) }
            @if let Some(error) = &event.error {
                ": " span.bad { (shown(&error.error_type)) " " (shown(&error.error_message)) }
            }
        }
        details id=(format!("content-{}", message.id)) {
            summary {
                @match &event.subject {
                    Subject::Event(_) => "Event",
                    Subject::Records(batch) => { (count(u64::try_from(batch.batch_size).unwrap_or_default(), "record")) " of a stream" }
                    Subject::Message(_) => "Message",
                    Subject::Unknown(_) => "Text",
                }
            }
            @match &event.subject {
                Subject::Event(event) => pre.code tabindex="0" { (pretty(&event.to_string())) },
                _ => (body_of(message)),
            }
        }
        div.actions {
            (form(&format!("{path}/redrive"), visit.token(), &html! {
                input type="hidden" name="message" value=(message.id);
                button type="submit" { "Redrive" }
            }))
            (danger(&format!("{path}/drop"), visit.token(), "Drop", "This deletes the event. No function handles it.", &id))
        }
    }
}

/// A message as its reader would get it.
fn received(message: &QueuedMessage) -> Message {
    let mut received = Message::builder()
        .message_id(&message.id)
        .body(&message.body);
    for (name, value) in &message.attributes {
        match value {
            Value::String(text) => {
                received =
                    received.attributes(MessageSystemAttributeName::from(name.as_str()), text);
            }
            value => {
                let attribute = MessageAttributeValue::builder()
                    .data_type(value["DataType"].as_str().unwrap_or("String"))
                    .set_string_value(value["StringValue"].as_str().map(str::to_owned));
                if let Ok(attribute) = attribute.build() {
                    received = received.message_attributes(name, attribute);
                }
            }
        }
    }
    received.build()
}

/// Handles again what a function has failed on, or drops it.
pub(super) async fn redrive(visit: &Visit, name: &str, form: &Fields, drop: bool) -> Result<Reply> {
    let function = visit.stage.function(name)?;
    let wish = RedriveWish {
        function: function.name,
        message: form.get("message").map(str::to_owned),
        drop,
    };
    let redriven = visit
        .stage
        .host
        .redrive(wish)
        .await
        .map_err(Problem::failed)?;
    Ok(Reply::done(
        format!("/data/failures/{name}"),
        told(&redriven, drop),
    ))
}

/// What became of all of them.
fn told(redriven: &[Redriven], drop: bool) -> String {
    let gone = redriven.iter().filter(|event| event.is_gone).count();
    let stayed: Vec<&Redriven> = redriven.iter().filter(|event| !event.is_gone).collect();
    let gone = count(u64::try_from(gone).unwrap_or_default(), "event");
    let verb = if drop { "dropped" } else { "handled" };
    match stayed.as_slice() {
        [] if redriven.is_empty() => {
            "The event is not visible in the queue: a consumer may be handling it".to_owned()
        }
        [] => format!("{gone} {verb}"),
        [one] => format!("{gone} {verb}; one stays: {}", one.outcome),
        [one, ..] => format!(
            "{gone} {verb}; {} stay, the first: {}",
            stayed.len(),
            one.outcome
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn message(body: &Value, attributes: Value) -> QueuedMessage {
        let Value::Object(attributes) = attributes else {
            unreachable!("it is an object");
        };
        let body = body.to_string();
        QueuedMessage {
            id: "1".to_owned(),
            body_bytes: u64::try_from(body.len()).unwrap(),
            body,
            attributes: BTreeMap::from_iter(attributes),
            sent_at_ms: 0,
            receive_count: 0,
            visible_at_ms: 0,
            group: None,
        }
    }

    #[test]
    fn a_reason_is_read_from_whoever_gave_up() {
        let of_lambda = json!({
            "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": {"a": 1},
            "responsePayload": {"errorType": "Poison", "errorMessage": "<script>"},
        });
        let event = FailedEvent::of_message(received(&message(&of_lambda, json!({}))));
        assert_eq!(event.condition.as_deref(), Some("RetriesExhausted"));
        assert_eq!(event.error.unwrap().error_type, "Poison");
        let moved = json!({"DeadLetterQueueSourceArn": "arn:aws:sqs:us-east-1:0:q"});
        let event = FailedEvent::of_message(received(&message(&json!("x"), moved)));
        assert!(matches!(event.subject, Subject::Message(_)));
        let by_scheduler = json!({
            "TARGET_ARN": {"DataType": "String", "StringValue": "arn"},
            "ERROR_CODE": {"DataType": "String", "StringValue": "THROTTLED"},
        });
        let event = FailedEvent::of_message(received(&message(&json!({"a": 1}), by_scheduler)));
        assert_eq!(event.condition.as_deref(), Some("THROTTLED"));
    }

    #[test]
    fn what_became_of_events_is_told() {
        let event = |is_gone| Redriven {
            message_id: "1".to_owned(),
            is_gone,
            outcome: "failed again: E".to_owned(),
        };
        assert_eq!(told(&[event(true), event(true)], false), "2 events handled");
        assert_eq!(told(&[event(true)], true), "1 event dropped");
        assert_eq!(
            told(&[event(true), event(false)], false),
            "1 event handled; one stays: failed again: E"
        );
        assert!(told(&[], false).contains("not visible"));
    }
}
