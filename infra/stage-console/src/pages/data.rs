//! What the app keeps: its tables, buckets, queues, topics and schedules.

use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use jiff::Timestamp;
use maud::{Markup, html};
use uuid::Uuid;

use super::{Reply, Visit};
use crate::fields::Fields;
use crate::layout::{Page, Section, button, count, declared_at, form};
use crate::model::{AppModel, NodeModel};
use crate::problem::{Problem, Result};
use crate::stage::Names;

/// The most that SNS takes.
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const MESSAGE_BYTES_MAX: usize = 262_144;

/// Everything.
pub(super) async fn show(visit: &Visit) -> Result<Page> {
    let stage = &visit.stage;
    let app = stage.app();
    let names = stage.names().await?;
    let body = html! {
        div #data data-live {
            (kind(&app, "table", "Tables", &tables(visit, &app, &names).await))
            (kind(&app, "bucket", "Buckets", &simple(&app, &names, "bucket", "/data/bucket/")))
            (kind(&app, "queue", "Queues", &queues(visit, &app, &names).await))
            (failures(visit, &app).await?)
            (kind(&app, "topic", "Topics", &simple(&app, &names, "topic", "/data/topic/")))
            (kind(&app, "schedule", "Schedules", &schedules(visit, &app)))
        }
    };
    Ok(Page::new(Section::Data, "Data", body))
}

fn kind(app: &AppModel, noun: &str, title: &str, list: &Markup) -> Markup {
    html! {
        @if app.nodes_of(noun).next().is_some() {
            section aria-label=(title) {
                h2 { (title) }
                (list)
            }
        }
    }
}

/// What AWS calls a resource, on its last part.
fn physical<'a>(names: &'a Names, node: &NodeModel) -> &'a str {
    let physical = names.of(&node.id).unwrap_or("not deployed");
    physical.rsplit([':', '/']).next().unwrap_or(physical)
}

fn simple(app: &AppModel, names: &Names, noun: &str, path: &str) -> Markup {
    html! {
        ul.things {
            @for node in app.nodes_of(noun) {
                li {
                    a.thing href=(format!("{path}{}", node.name)) { (node.name) }
                    code.dim { (physical(names, node)) }
                    (declared_at(node.declared_at.as_deref()))
                }
            }
        }
    }
}

async fn tables(visit: &Visit, app: &AppModel, names: &Names) -> Markup {
    let mut rows = Vec::new();
    for node in app.nodes_of("table") {
        let physical = names.of(&node.id).unwrap_or_default();
        let described = visit.stage.dynamodb.describe_table();
        let described = described.table_name(physical).send().await;
        let items = described
            .ok()
            .and_then(|described| described.table?.item_count)
            .and_then(|items| u64::try_from(items).ok());
        rows.push((node, items));
    }
    html! {
        ul.things {
            @for (node, items) in rows {
                li {
                    a.thing href=(format!("/data/table/{}", node.name)) { (node.name) }
                    @if let Some(items) = items { span.number { (count(items, "item")) } }
                    code.dim { (physical(names, node)) }
                    (declared_at(node.declared_at.as_deref()))
                }
            }
        }
    }
}

async fn queues(visit: &Visit, app: &AppModel, names: &Names) -> Markup {
    let mut rows = Vec::new();
    for node in app.nodes_of("queue") {
        let depth = match names.of(&node.id) {
            Some(url) => deploy::queue_depth(&visit.stage.target, url).await.ok(),
            None => None,
        };
        rows.push((node, depth));
    }
    html! {
        ul.things {
            @for (node, depth) in rows {
                li {
                    a.thing href=(format!("/data/queue/{}", node.name)) { (node.name) }
                    @if let Some(depth) = depth {
                        span.number { (depth.waiting) " waiting" }
                        @if depth.hidden > 0 { span.number { (depth.hidden) " in progress" } }
                    }
                    (declared_at(node.declared_at.as_deref()))
                }
            }
        }
    }
}

async fn failures(visit: &Visit, app: &AppModel) -> Result<Markup> {
    let outputs = visit.stage.outputs().await?;
    let mut rows = Vec::new();
    for function in &app.functions {
        let Some(url) = function
            .failure_queue_output
            .as_ref()
            .and_then(|output| outputs.get(output))
        else {
            continue;
        };
        if let Ok(depth) = deploy::queue_depth(&visit.stage.target, url).await {
            rows.push((function, depth.waiting + depth.hidden));
        }
    }
    Ok(html! {
        @if !rows.is_empty() {
            section aria-label="Failure queues" {
                h2 { "Failure queues" }
                ul.things {
                    @for (function, events) in rows {
                        li {
                            a.thing href=(format!("/data/failures/{}", function.name)) { (function.name) }
                            @if events > 0 {
                                span.number.bad { (count(events, "event")) }
                            } @else {
                                span.dim { "empty" }
                            }
                        }
                    }
                }
            }
        }
    })
}

fn schedules(visit: &Visit, app: &AppModel) -> Markup {
    html! {
        ul.things {
            @for schedule in &app.schedules {
                li {
                    span.thing { (schedule.name) }
                    span.dim { "invokes " a href=(format!("/functions/{}", schedule.function)) { (schedule.function) } }
                    (button(&format!("/data/schedule/{}/fire", schedule.name), visit.token(), "Fire now"))
                }
            }
        }
    }
}

/// Invokes a schedule's function as EventBridge Scheduler does.
pub(super) async fn fire(visit: &Visit, name: &str) -> Result<Reply> {
    let app = visit.stage.app();
    let schedule = app.schedules.iter().find(|schedule| schedule.name == name);
    let schedule = schedule
        .ok_or_else(|| Problem::missing(format!("the app declares no schedule `{name}`")))?;
    let function = visit.stage.function(&schedule.function)?;
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let input = [
        ("schedule-arn", ""),
        ("scheduled-time", now.as_str()),
        ("execution-id", &Uuid::new_v4().to_string()),
        ("attempt-number", "1"),
    ]
    .iter()
    .fold(schedule.input.clone(), |text, (name, value)| {
        text.replace(&format!("<aws.scheduler.{name}>"), value)
    });
    visit
        .stage
        .lambda
        .invoke()
        .function_name(&function.invocation_name)
        .invocation_type(InvocationType::Event)
        .payload(Blob::new(input))
        .send()
        .await
        .map_err(|error| Problem::of_aws(&format!("invoke {}", function.name), &error))?;
    Ok(Reply::done(
        "/data",
        format!("Fired {name}: it invokes {}", function.name),
    ))
}

/// A topic.
pub(super) async fn topic(visit: &Visit, name: &str) -> Result<Page> {
    let (node, arn) = visit.stage.resource("topic", name).await?;
    let app = visit.stage.app();
    let readers: Vec<_> = app
        .arrows
        .iter()
        .filter(|arrow| arrow.from == node.id && !arrow.is_grant)
        .filter_map(|arrow| {
            app.functions
                .iter()
                .find(|function| function.node == arrow.to)
        })
        .collect();
    let body = html! {
        p.facts {
            code { (arn) }
            (declared_at(node.declared_at.as_deref()))
        }
        @if !readers.is_empty() {
            p {
                "A message invokes "
                @for (index, function) in readers.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href=(format!("/functions/{}", function.name)) { (function.name) }
                }
                "."
            }
        }
        section aria-label="Publish" {
            h2 { "Publish a message" }
            (form(&format!("/data/topic/{name}/publish"), visit.token(), &html! {
                label { "Subject" input name="subject" maxlength="100" placeholder="none"; }
                label { "Message" textarea.code name="message" rows="10" required spellcheck="false" {} }
                button.main type="submit" { "Publish" }
            }))
        }
    };
    Ok(Page::new(Section::Data, format!("Topic {name}"), body).below("Data", "/data"))
}

/// Publishes a message.
pub(super) async fn publish(visit: &Visit, name: &str, form: &Fields) -> Result<Reply> {
    let (_, arn) = visit.stage.resource("topic", name).await?;
    let message = form.text("message");
    if message.is_empty() {
        return Err(
            Problem::mistake("the message is empty").hint("SNS does not publish an empty message")
        );
    }
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(Problem::mistake(
            "the message is longer than 256 KB, the limit of SNS",
        ));
    }
    let published = visit
        .stage
        .sns
        .publish()
        .topic_arn(arn)
        .message(message)
        .set_subject(form.get("subject").map(str::to_owned))
        .send()
        .await
        .map_err(|error| Problem::of_aws(&format!("publish to {name}"), &error))?;
    let id = published.message_id().unwrap_or_default();
    Ok(Reply::done(
        format!("/data/topic/{name}"),
        format!("Published message {id}"),
    ))
}
