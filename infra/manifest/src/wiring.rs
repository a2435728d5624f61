//! From the words of `cargo xtask new function --on` to Rust: what the app has to declare, and what
//! the function begins as.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::app::App;
use crate::kind::{self, Kind};
use crate::manifest::{DeclaredResource, Named};
use crate::name;
use crate::resource_id::ResourceId;
use crate::trigger_word::{Sample, SampleNames, TriggerWord};

/// How a trigger is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerUsage {
    /// Such as `topic:TOPIC`.
    pub usage: String,
    /// Such as `topic:orders`.
    pub example: String,
    /// What invokes the function, in half a line.
    pub about: &'static str,
}

/// How triggers are written, for all kinds of events.
pub fn trigger_usages() -> impl Iterator<Item = TriggerUsage> {
    kind::trigger_words().map(|(_, word)| TriggerUsage {
        usage: usage(word),
        example: match word.example {
            "" => word.word.to_owned(),
            example => format!("{}:{example}", word.word),
        },
        about: word.about,
    })
}

fn usage(word: &TriggerWord) -> String {
    match word.takes {
        "" => word.word.to_owned(),
        takes => format!("{}:{takes}", word.word),
    }
}

/// What makes a new function a part of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// Statements that declare resources which the app does not declare yet.
    pub declarations: Vec<String>,
    /// The statement that declares the function.
    pub function: String,
    /// What the statements need of `manifest::kinds`, such as `ItemChange::*`.
    pub imports: BTreeSet<&'static str>,
    /// An event that invokes it, with the names of AWS's documents.
    pub event: Value,
    /// What it handles, such as `messages of a topic`.
    pub handles: &'static str,
    /// The source of its program. It has the event in `assets/events`, three folders up.
    pub main: String,
    /// Its dependencies, of the workspace.
    pub dependencies: BTreeSet<&'static str>,
    /// Its dependencies for tests.
    pub dev_dependencies: BTreeSet<&'static str>,
}

impl App {
    /// What makes `function` a part of the app that handles the events of these triggers. `manifest`
    /// is what the declaration calls the manifest. `variable_at` tells what it calls that which the
    /// statement at a line of a file declares.
    ///
    /// # Errors
    /// All that is wrong with the name and the triggers.
    pub fn wire(
        &self,
        function: &str,
        triggers: &[String],
        manifest: &str,
        variable_at: impl Fn(&str, u32) -> Option<String>,
    ) -> Result<Wiring, Vec<String>> {
        let mut errors = self.errors_of_name(function);
        let mut events = Vec::new();
        for trigger in triggers {
            match self.events(trigger, function) {
                Ok(found) => events.push(found),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(contradictions(&events));
        let mut rust = Rust::default();
        for event in &events {
            if let Err(error) = rust.add(event, manifest, &variable_at) {
                errors.push(error);
            }
        }
        let skeleton = events.first().map(|first| (first, first.word.skeleton));
        let Some((first, skeleton)) = skeleton.filter(|_| errors.is_empty()) else {
            return Err(errors);
        };
        let names = SampleNames::documented(self.name());
        let filled_in = |source| fill_in(source, function, &events);
        let dependencies: BTreeSet<&'static str> = ["lambda_runtime", "runtime"]
            .into_iter()
            .filter(|dependency| {
                let module = format!("{dependency}::");
                skeleton.main.contains(&module)
            })
            .chain(skeleton.dependencies.iter().copied())
            .collect();
        Ok(Wiring {
            declarations: rust.declarations,
            function: format!("{manifest}.function({function:?}){};", rust.calls),
            imports: rust.imports,
            event: first.sample(&names),
            handles: skeleton.handles,
            main: filled_in(skeleton.main),
            dev_dependencies: ["serde_json", "tokio"]
                .into_iter()
                .filter(|dependency| !dependencies.contains(dependency))
                .collect(),
            dependencies,
        })
    }

    /// An event of a trigger, such as `topic:orders`, with the names of the app's stage.
    ///
    /// # Errors
    /// What is wrong with the trigger.
    pub fn sample_event(&self, trigger: &str) -> Result<Value, String> {
        let names = SampleNames::of_stage(self.name(), self.stage());
        Ok(self.events(trigger, "function")?.sample(&names))
    }

    /// The triggers of the resources that the app declares, as far as they take nothing else than
    /// the resource's name.
    #[must_use]
    pub fn triggers(&self) -> Vec<String> {
        let of_kind = |kind: &'static Kind, name: &str| -> Vec<String> {
            let words = kind.triggers.iter();
            let words = words.filter(|word| (word.resource)(name, "").as_deref() == Ok(name));
            words.map(|word| format!("{}:{name}", word.word)).collect()
        };
        let ids = self.declared().map(|resource| &resource.named().id);
        ids.filter_map(|id| Some(of_kind(kind::of(id)?, id.name())))
            .flatten()
            .collect()
    }

    fn errors_of_name(&self, function: &str) -> Vec<String> {
        let mut errors = Vec::new();
        if !name::is_kebab_case(function) {
            errors.push(format!(
                "`{function}` is not a function name: write words of a-z and 0-9 joined by single hyphens, like `resize-photo`"
            ));
        }
        let taken = self.functions().find(|taken| taken.name() == function);
        errors.extend(taken.map(|taken| {
            format!(
                "the app has a function `{function}` already, declared at {}: choose another name",
                taken.declared_at()
            )
        }));
        errors
    }

    /// The events that a trigger names.
    fn events(&self, trigger: &str, function: &str) -> Result<Events<'_>, String> {
        let (word, text) = trigger.split_once(':').unwrap_or((trigger, ""));
        let mut words = kind::trigger_words();
        let Some((kind, word)) = words.find(|(_, known)| known.word == word) else {
            return Err(unknown_word(trigger, word));
        };
        let about = |problem: String| format!("`{trigger}`: {problem}");
        if word.takes.is_empty() && !text.is_empty() {
            return Err(about(format!("write `{}` alone", word.word)));
        }
        let name = (word.resource)(text, function)
            .map_err(|problem| about(format!("{problem}, as in `{}`", usage(word))))?;
        let source = match kind {
            None => Source::Function,
            Some(kind) => self.source(kind, word, name, text).map_err(about)?,
        };
        let text = text.to_owned();
        Ok(Events { word, text, source })
    }

    /// The resource of a kind and a name, which the trigger names or the word makes up.
    fn source(
        &self,
        kind: &'static Kind,
        word: &TriggerWord,
        name: String,
        text: &str,
    ) -> Result<Source<'_>, String> {
        let of_kind = || {
            let resources = self.declared();
            resources.filter(|resource| resource.named().id.is_of(kind.noun))
        };
        let names: Vec<&str> = of_kind()
            .map(|resource| resource.named().id.name())
            .collect();
        let noun = kind.noun.noun;
        let is_named = name == text;
        let name = match (name.is_empty(), names.as_slice()) {
            (false, _) => name,
            (true, []) => self.name().to_owned(),
            (true, [only]) => (*only).to_owned(),
            (true, several) => {
                return Err(format!(
                    "write which {noun} as well, like `{}:{}{text}`: the app declares {}",
                    word.word,
                    several[0],
                    several.join(", ")
                ));
            }
        };
        let mut declared = of_kind();
        if let Some(resource) = declared.find(|resource| resource.named().id.name() == name) {
            return Ok(Source::Declared(resource));
        }
        let unknown = format!("the app declares no {noun} `{name}`");
        if is_named && let Some(meant) = name::nearest(&name, names.iter().copied()) {
            return Err(format!("{unknown}; did you mean `{meant}`?"));
        }
        match (word.declare, names.as_slice()) {
            (Some(_), _) => Ok(Source::New(ResourceId::new(kind.noun, &name))),
            (None, []) => Err(format!("{unknown}, nor any other: declare it first")),
            (None, names) => Err(format!("{unknown}: it declares {}", names.join(", "))),
        }
    }
}

fn unknown_word(trigger: &str, word: &str) -> String {
    let words = || kind::trigger_words().map(|(_, known)| known);
    let meant = name::nearest(word, words().map(|known| known.word));
    let usages: Vec<String> = words().map(usage).collect();
    match meant.and_then(|meant| words().find(|known| known.word == meant)) {
        Some(meant) => format!(
            "`{trigger}` is not a trigger; did you mean `{}`?",
            usage(meant)
        ),
        None => format!(
            "`{trigger}` is not a trigger: write one of {}",
            usages.join(", ")
        ),
    }
}

/// The events that a trigger names.
struct Events<'a> {
    word: &'static TriggerWord,
    text: String,
    source: Source<'a>,
}

/// Where events come from.
enum Source<'a> {
    /// A resource that the app declares.
    Declared(&'a Arc<dyn DeclaredResource>),
    /// A resource that it has to declare.
    New(ResourceId),
    /// The function itself.
    Function,
}

impl Events<'_> {
    fn sample(&self, names: &SampleNames) -> Value {
        let (id, key) = match &self.source {
            Source::Declared(resource) => (Some(&resource.named().id), resource.sample_key()),
            Source::New(id) => (Some(id), Value::Null),
            Source::Function => (None, Value::Null),
        };
        (self.word.sample)(&Sample {
            text: &self.text,
            id,
            key,
            names,
        })
    }

    /// The variable that tells functions what the resource is called.
    fn environment_variable(&self) -> Option<&str> {
        match &self.source {
            Source::Declared(resource) => resource.named().variable.as_deref(),
            Source::New(_) | Source::Function => None,
        }
    }
}

/// Statements and calls that wire a function.
#[derive(Default)]
struct Rust {
    declarations: Vec<String>,
    calls: String,
    imports: BTreeSet<&'static str>,
}

impl Rust {
    fn add(
        &mut self,
        Events { word, text, source }: &Events<'_>,
        manifest: &str,
        variable_at: impl Fn(&str, u32) -> Option<String>,
    ) -> Result<(), String> {
        let variable = match source {
            Source::Function => String::new(),
            Source::Declared(resource) => {
                let Named { id, origin, .. } = resource.named();
                let declared = origin.of_declaration();
                let variable = declared.and_then(|(file, line)| variable_at(file, line));
                variable.ok_or_else(|| {
                    let own = own_variable(id);
                    format!("{origin} declares {id} without a variable: begin the declaration with `let {own} =`")
                })?
            }
            Source::New(id) => {
                let variable = own_variable(id);
                if let Some(declare) = word.declare {
                    let declared = declare(manifest, id.name(), text);
                    let statement = format!("let {variable} = {declared};");
                    if !self.declarations.contains(&statement) {
                        self.declarations.push(statement);
                    }
                }
                variable
            }
        };
        self.calls.push_str(&(word.call)(&variable, text));
        self.imports.extend(word.imports);
        Ok(())
    }
}

fn own_variable(id: &ResourceId) -> String {
    format!("{}_{}", id.name().replace('-', "_"), id.noun().identifier)
}

/// Triggers that no one function can have.
fn contradictions(events: &[Events<'_>]) -> Vec<String> {
    let Some((first, rest)) = events.split_first() else {
        return Vec::new();
    };
    let handles = |events: &Events<'_>| events.word.skeleton.handles;
    let mut errors = Vec::new();
    if let Some(other) = rest.iter().find(|other| handles(other) != handles(first)) {
        errors.push(format!(
            "a function handles events of one form, and {} are not {}: make two functions",
            handles(other),
            handles(first)
        ));
    }
    if first.word.skeleton.main.contains(VARIABLE) {
        let variables = || events.iter().map(Events::environment_variable);
        if variables().any(|variable| variable != first.environment_variable()) {
            errors.push(format!(
                "a function handles {} of one resource: make two functions",
                handles(first)
            ));
        } else if first.environment_variable().is_none()
            && let Source::Declared(resource) = &first.source
        {
            let Named { id, origin, .. } = resource.named();
            let variable = name::environment_variable(id.name(), "NAME");
            errors.push(format!(
                "{origin} gives functions no variable with the name of {id}: add `.variable({variable:?})`"
            ));
        }
    }
    errors
}

/// What stands for the name of a resource's variable in a skeleton.
const VARIABLE: &str = "\"RESOURCE_VARIABLE\"";

fn fill_in(source: &str, function: &str, events: &[Events<'_>]) -> String {
    let names = events
        .iter()
        .flat_map(|events| (events.word.events)(&events.text));
    let mut unique: Vec<String> = Vec::new();
    for name in names.map(|name| format!("{name:?}")) {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    let mut source = source
        .replace("new-function", function)
        .replace("new_function", &function.replace('-', "_"))
        .replace("NewFunction", &name::pascal_case(function))
        .replace("\"EVENTS\"", &unique.join(", "))
        .replace("\"EVENT\"", &unique.join(" | "));
    if let Some(variable) = events.first().and_then(Events::environment_variable) {
        source = source.replace(VARIABLE, &format!("{variable:?}"));
    }
    source
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::TableAction::GetItem;
    use crate::manifest::Manifest;
    use crate::testing::{resolve, shop};

    fn wired(app: &Manifest, function: &str, triggers: &[&str]) -> Result<Wiring, Vec<String>> {
        let triggers: Vec<String> = triggers.iter().map(|&trigger| trigger.into()).collect();
        let variable_at = |_: &str, line: u32| Some(format!("line_{line}"));
        resolve(app, "").wire(function, &triggers, "app", variable_at)
    }

    #[track_caller]
    fn assert_refused(app: &Manifest, function: &str, triggers: &[&str], errors: &[&str]) {
        let refused = wired(app, function, triggers).unwrap_err();
        assert_eq!(refused.len(), errors.len(), "{refused:#?}");
        for (refused, error) in refused.iter().zip(errors) {
            assert!(refused.contains(error), "{refused:?} lacks {error:?}");
        }
    }

    #[test]
    fn every_word_has_an_event_and_a_function_to_begin_with() {
        let shop = shop();
        for TriggerUsage {
            usage,
            example: trigger,
            about,
        } in trigger_usages()
        {
            assert!(!usage.is_empty() && !about.is_empty(), "{trigger}");
            let wiring = wired(&shop.app, "pack-order", &[&trigger]).unwrap();
            assert!(wiring.event.is_object(), "{trigger}");
            // What the shop lacks is named by the trigger, or after the function.
            let text = trigger.split_once(':').map_or("", |(_, text)| text);
            for declaration in &wiring.declarations {
                let names = ["pack-order", text].map(|name| format!("{name:?}"));
                let is_named = names.iter().any(|name| declaration.contains(name));
                assert!(is_named, "{trigger}: {declaration}");
            }
            let source = &wiring.main;
            for placeholder in ["new-function", "new_function", "NewFunction", "RESOURCE"] {
                assert!(!source.contains(placeholder), "{trigger}: {source}");
            }
            assert!(!source.contains("\"EVENT"), "{trigger}: {source}");
            assert!(source.contains("assets/events/pack-order.json"));
            assert!(!wiring.handles.is_empty(), "{trigger}");
        }
    }

    #[test]
    fn a_function_is_declared_with_its_triggers() {
        let shop = shop();
        let wiring = wired(&shop.app, "file-photo", &["object-created:photos"]).unwrap();
        let (start, rest) = wiring.function.split_once("line_").unwrap();
        assert_eq!(start, "app.function(\"file-photo\").trigger(");
        assert!(rest.ends_with(".object_created());"), "{rest}");
        assert!(wiring.main.contains(r#"require("PHOTOS_BUCKET_NAME")"#));

        let both = ["object-created:photos", "object-removed:photos"];
        let wiring = wired(&shop.app, "file-photo", &both).unwrap();
        let events = r#"["ObjectCreated:", "ObjectRemoved:", "LifecycleExpiration:"]"#;
        assert!(wiring.main.contains(events), "{}", wiring.main);

        let by_hand = wired(&shop.app, "greet", &["invoke"]).unwrap();
        assert_eq!(by_hand.function, "app.function(\"greet\");");

        let changes = wired(&shop.app, "pack-order", &["stream:orders"]).unwrap();
        assert_eq!(changes.imports, ["ItemChange::*"].into());
        let record = &changes.event["Records"][0]["dynamodb"];
        assert_eq!(record["Keys"], json!({"id": {"S": "1"}}));
    }

    #[test]
    fn a_schedule_is_named_after_its_function() {
        let app = Manifest::new("shop");
        let weekly = app.schedule("sweep-a", "cron(0 3 ? * SUN *)");
        app.function("sweep-a").trigger(weekly.fires());
        let wiring = wired(&app, "sweep-b", &["schedule:rate(5 minutes)"]).unwrap();
        assert_eq!(
            wiring.declarations,
            [r#"let sweep_b_schedule = app.schedule("sweep-b", "rate(5 minutes)");"#]
        );
        assert_eq!(wiring.event["scheduledTime"], "2026-01-05T09:30:00Z");
        assert_refused(
            &app,
            "sweep-b",
            &["schedule:rate(5 minute)"],
            &["the unit of 5 is `minutes`; write `rate(5 minutes)`"],
        );
    }

    #[test]
    fn what_holds_no_data_is_declared() {
        let shop = shop();
        let wiring = wired(&shop.app, "pay", &["topic:bills"]).unwrap();
        assert_eq!(
            wiring.declarations,
            [r#"let bills_topic = app.topic("bills").variable("BILLS_TOPIC_ARN");"#]
        );
        assert_eq!(
            wiring.function,
            r#"app.function("pay").trigger(bills_topic.published());"#
        );
        let app = Manifest::new("kiosk");
        app.function("sell");
        let wiring = wired(&app, "serve", &["GET:/", "POST:/orders"]).unwrap();
        assert_eq!(
            wiring.declarations,
            [r#"let kiosk_api = app.http_api("kiosk").variable("KIOSK_URL");"#]
        );
        assert!(wiring.main.contains(r#"Some("GET /" | "POST /orders")"#));
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let shop = shop();
        shop.app.http_api("admin");
        let photos = shop.app.bucket("films");
        shop.sell.grant(shop.table.allow([GetItem]));
        drop(photos);
        assert_refused(
            &shop.app,
            "sell",
            &["object-created:photo", "stream:carts", "topics:orders"],
            &[
                "has a function `sell` already, declared at ",
                "`object-created:photo`: the app declares no bucket `photo`; did you mean `photos`?",
                "`stream:carts`: the app declares no table `carts`: it declares orders",
                "`topics:orders` is not a trigger; did you mean `topic:TOPIC`?",
            ],
        );
        assert_refused(
            &shop.app,
            "Sell",
            &[
                "GET:/orders",
                "GET:shop/a b",
                "topic:order",
                "invoke:sell",
                "x",
            ],
            &[
                "`Sell` is not a function name",
                "`GET:/orders`: write which HTTP API as well, like `GET:shop/orders`: the app declares shop, admin",
                "`GET:shop/a b`: write a path",
                "`topic:order`: the app declares no topic `order`; did you mean `orders`?",
                "`invoke:sell`: write `invoke` alone",
                "`x` is not a trigger: write one of object-created:BUCKET, ",
            ],
        );
        assert_refused(
            &shop.app,
            "pack",
            &["topic:orders", "stream:orders"],
            &["batches of a table's stream are not messages of a topic: make two functions"],
        );
        assert_refused(
            &shop.app,
            "pack",
            &["object-created:photos", "object-created:films"],
            &["handles events of a bucket of one resource"],
        );
        assert_refused(
            &shop.app,
            "pack",
            &["object-created:films"],
            &[
                "gives functions no variable with the name of bucket `films`: add `.variable(\"FILMS_NAME\")`",
            ],
        );
    }

    #[test]
    fn a_resource_that_no_variable_holds_is_named() {
        let shop = shop();
        let app = resolve(&shop.app, "");
        let triggers = ["topic:orders".to_owned()];
        let refused = app.wire("pack", &triggers, "app", |_, _| None).unwrap_err();
        let error = "declares topic `orders` without a variable: begin the declaration with `let orders_topic =`";
        assert!(refused[0].ends_with(error), "{refused:?}");
    }

    #[test]
    fn sample_events_hold_the_names_of_the_stage() {
        let shop = shop();
        let app = resolve(&shop.app, "region: eu-west-1, account: \"210987654321\"");
        let event = |trigger| app.sample_event(trigger).unwrap();
        let record = &event("object-removed:photos")["Records"][0];
        assert_eq!(
            record["s3"]["bucket"]["name"],
            "shop-dev-photos-210987654321-eu-west-1"
        );
        assert_eq!(record["eventName"], "ObjectRemoved:Delete");
        assert_eq!(
            event("topic:orders")["Records"][0]["Sns"]["TopicArn"],
            "arn:aws:sns:eu-west-1:210987654321:shop-dev-OrdersTopic-EXAMPLE12345"
        );
        let request = event("POST:/orders/{id}/{rest+}");
        assert_eq!(request["rawPath"], "/orders/1/1");
        assert_eq!(request["routeKey"], "POST /orders/{id}/{rest+}");
        assert_eq!(request["pathParameters"], json!({"id": "1", "rest": "1"}));
        assert_eq!(
            app.triggers(),
            [
                "topic:orders",
                "object-created:photos",
                "object-removed:photos",
                "stream:orders",
                "queue:parcels"
            ]
        );
        let committed = wired(&shop.app, "file", &["object-removed:photos"]).unwrap();
        assert_eq!(
            committed.event["Records"][0]["s3"]["bucket"]["name"],
            "amzn-s3-demo-bucket"
        );
    }
}
