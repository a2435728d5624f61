use super::*;
use crate::media_type::MediaType;
use crate::testing::check_catalogue;
use runtime::testing::Wire;
use serde_json::{Value, json};

fn catalogue(wire: &Wire) -> DynamoCatalogue {
    DynamoCatalogue::new(
        &wire.aws(),
        Tables {
            media: "media".into(),
            state: "state".into(),
            index: "index".into(),
        },
    )
}

/// No entry is in the index.
fn no_head() -> (u16, Value) {
    (200, json!({}))
}

fn head() -> (u16, Value) {
    let mut entry = entry("all");
    entry["version"] = json!({"S": "1"});
    (200, json!({"Item": entry}))
}

/// The dog's entry in a list.
fn entry(list: &str) -> Value {
    let mut entry = dog_attributes();
    entry["list"] = json!({"S": list});
    entry["typed_list"] = json!({"S": format!("image:{list}")});
    entry
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

fn change(kind: ChangeKind) -> ObjectChange {
    ObjectChange {
        name: key("dog.jpg"),
        sequencer: Sequencer::parse("0055aed600").unwrap(),
        kind,
    }
}

fn labelled() -> ChangeKind {
    ChangeKind::Labelled {
        media_type: MediaType::Image,
        labels: vec!["Dog".into(), "Animal".into()],
    }
}

fn failure() -> Failure {
    Failure {
        code: "ImageTooLargeException".into(),
        message: "too large".into(),
    }
}

fn dog() -> MediaItem {
    MediaItem {
        name: key("dog.jpg"),
        media_type: MediaType::Image,
        labels: vec!["Dog".into(), "Animal".into()],
    }
}

fn dog_attributes() -> Value {
    json!({
        "name": {"S": "dog.jpg"},
        "type": {"S": "image"},
        "labels": {"L": [{"S": "Dog"}, {"S": "Animal"}]},
    })
}

fn cancelled(codes: [&str; 3]) -> (u16, Value) {
    (
        400,
        json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": format!("Transaction cancelled: {codes:?}"),
            "CancellationReasons": codes.map(|code| json!({"Code": code})),
        }),
    )
}

/// The writes of the only transaction on the wire, after the head was read: the first two, and those
/// of the index.
fn transaction(wire: &Wire) -> ([Value; 2], Vec<Value>) {
    let requests = wire.requests();
    let [(read, head), (operation, body)] = requests.as_slice() else {
        panic!("two requests expected: {requests:?}");
    };
    assert_eq!(read, "DynamoDB_20120810.GetItem");
    let key = json!({"list": {"S": "all"}, "name": {"S": "dog.jpg"}});
    assert_eq!((&head["TableName"], &head["Key"]), (&json!("index"), &key));
    assert_eq!(head["ConsistentRead"], true);
    assert_eq!(operation, "DynamoDB_20120810.TransactWriteItems");
    let mut writes = body["TransactItems"].as_array().unwrap().clone();
    let rest = writes.split_off(2);
    (writes.try_into().unwrap(), rest)
}

/// The lists whose entries these writes put or delete, the head's aside.
fn lists(writes: &[Value], verb: &str, part: &str) -> Vec<String> {
    let lists = writes[1..].iter().filter(|write| write[verb].is_object());
    lists
        .map(|write| write[verb][part]["list"]["S"].as_str().unwrap().to_owned())
        .collect()
}

fn state_write(item: &Value) -> Value {
    json!({"Put": {
        "TableName": "state",
        "Item": item,
        "ConditionExpression": "attribute_not_exists(#sequencer) OR #sequencer < :sequencer",
        "ExpressionAttributeNames": {"#sequencer": "sequencer"},
        "ExpressionAttributeValues": {":sequencer": {"S": "0055AED6"}},
    }})
}

#[tokio::test]
async fn labels_and_state_are_written_together() {
    let wire = Wire::new([no_head(), (200, json!({}))]);
    let outcome = catalogue(&wire).record(&change(labelled())).await.unwrap();
    assert_eq!(outcome, Outcome::Recorded);
    let (writes, entries) = transaction(&wire);
    assert_eq!(
        writes,
        [
            state_write(&json!({"name": {"S": "dog.jpg"}, "sequencer": {"S": "0055AED6"}})),
            json!({"Put": {"TableName": "media", "Item": dog_attributes()}}),
        ]
    );
    let mut head = entries[0]["Put"].clone();
    assert_eq!(
        head["ConditionExpression"],
        "attribute_not_exists(#version)"
    );
    let version = head["Item"].as_object_mut().unwrap().remove("version");
    assert!(version.is_some());
    assert_eq!(head["Item"], entry("all"));
    let mut animal = entry("label:animal");
    animal["label"] = json!({"S": "Animal"});
    assert_eq!(
        entries[1],
        json!({"Put": {"TableName": "index", "Item": animal}})
    );
    assert_eq!(
        lists(&entries, "Put", "Item"),
        ["label:animal", "label:dog"]
    );
    assert_eq!(entries.len(), 3);
}

#[tokio::test]
async fn entries_of_labels_that_are_gone_are_deleted() {
    let wire = Wire::new([head(), (200, json!({}))]);
    let labels = vec!["Cat".into(), "ANIMAL".into()];
    let media_type = MediaType::Image;
    let kind = ChangeKind::Labelled { media_type, labels };
    catalogue(&wire).record(&change(kind)).await.unwrap();
    let (_, entries) = transaction(&wire);
    assert_eq!(
        entries[0]["Put"]["ConditionExpression"],
        "#version = :version"
    );
    let version = &entries[0]["Put"]["ExpressionAttributeValues"][":version"];
    assert_eq!(*version, json!({"S": "1"}));
    assert_eq!(
        lists(&entries, "Put", "Item"),
        ["label:animal", "label:cat"]
    );
    assert_eq!(lists(&entries, "Delete", "Key"), ["label:dog"]);
}

#[tokio::test]
async fn a_failure_is_kept_in_the_state_and_the_item_goes() {
    let wire = Wire::new([head(), (200, json!({}))]);
    let kind = ChangeKind::Failed(failure());
    catalogue(&wire).record(&change(kind)).await.unwrap();
    let (writes, entries) = transaction(&wire);
    assert_eq!(
        entries[0]["Delete"]["ConditionExpression"],
        "#version = :version"
    );
    assert_eq!(
        lists(&entries, "Delete", "Key"),
        ["label:animal", "label:dog"]
    );
    assert_eq!(
        writes,
        [
            state_write(&json!({
                "name": {"S": "dog.jpg"},
                "sequencer": {"S": "0055AED6"},
                "failure": {"M": {
                    "code": {"S": "ImageTooLargeException"},
                    "message": {"S": "too large"},
                }},
            })),
            json!({"Delete": {"TableName": "media", "Key": {"name": {"S": "dog.jpg"}}}}),
        ]
    );
}

#[tokio::test]
async fn a_removal_leaves_a_tombstone_that_expires() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let lifetime = 30 * 24 * 60 * 60;
    let wire = Wire::new([no_head(), (200, json!({}))]);
    let before = now();
    catalogue(&wire)
        .record(&change(ChangeKind::Removed))
        .await
        .unwrap();
    let ([state, item], entries) = transaction(&wire);
    let absent = &entries[0]["Delete"]["ConditionExpression"];
    assert_eq!(absent, "attribute_not_exists(#version)");
    let expires_at = &state["Put"]["Item"]["expires_at"]["N"];
    let seconds: u64 = expires_at.as_str().unwrap().parse().unwrap();
    assert!((before + lifetime..=now() + lifetime).contains(&seconds));
    assert_eq!(
        state,
        state_write(&json!({
            "name": {"S": "dog.jpg"},
            "sequencer": {"S": "0055AED6"},
            "expires_at": {"N": expires_at},
        }))
    );
    assert_eq!(
        item,
        json!({"Delete": {"TableName": "media", "Key": {"name": {"S": "dog.jpg"}}}})
    );
}

#[tokio::test]
async fn saving_checks_the_state_that_was_seen() {
    let seen = State {
        sequencer: Sequencer::parse("0A").unwrap(),
        failure: None,
    };
    let put = json!({"Put": {"TableName": "media", "Item": dog_attributes()}});
    for (seen, condition) in [
        (
            Some(&seen),
            json!({
                "ConditionExpression": "#sequencer = :seen",
                "ExpressionAttributeValues": {":seen": {"S": "0A"}},
            }),
        ),
        (
            None,
            json!({"ConditionExpression": "attribute_not_exists(#sequencer)"}),
        ),
    ] {
        let wire = Wire::new([no_head(), (200, json!({}))]);
        let outcome = catalogue(&wire).save(&dog(), seen).await.unwrap();
        assert_eq!(outcome, Outcome::Recorded);
        let mut check = condition;
        check["TableName"] = "state".into();
        check["Key"] = json!({"name": {"S": "dog.jpg"}});
        check["ExpressionAttributeNames"] = json!({"#sequencer": "sequencer"});
        assert_eq!(
            transaction(&wire).0,
            [json!({"ConditionCheck": check}), put.clone()]
        );
    }
}

#[tokio::test]
async fn a_failed_condition_is_superseded_and_no_error() {
    let failed = cancelled(["ConditionalCheckFailed", "None", "None"]);
    let wire = Wire::new([no_head(), failed, no_head()]);
    let outcome = catalogue(&wire).record(&change(labelled())).await.unwrap();
    assert_eq!(outcome, Outcome::Superseded);
}

#[tokio::test]
async fn a_denial_is_an_error_that_names_it() {
    let denied = json!({
        "__type": "com.amazon.coral.service#AccessDeniedException",
        "Message": "not authorized to perform: dynamodb:PutItem",
    });
    let wire = Wire::new([no_head(), (400, denied)]);
    let error = catalogue(&wire)
        .record(&change(labelled()))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("could not write \"dog.jpg\" in the catalogue: AccessDeniedException: not authorized to perform: dynamodb:PutItem"),
        "{error}"
    );
}

#[tokio::test]
async fn the_state_is_read_consistently() {
    let wire = Wire::new([
        (
            200,
            json!({"Item": {
                "name": {"S": "dog.jpg"},
                "sequencer": {"S": "0055AED6"},
                "failure": {"M": {
                    "code": {"S": "ImageTooLargeException"},
                    "message": {"S": "too large"},
                }},
            }}),
        ),
        (200, json!({})),
    ]);
    let catalogue = catalogue(&wire);
    assert_eq!(
        catalogue.state(&key("dog.jpg")).await.unwrap(),
        Some(State {
            sequencer: Sequencer::parse("0055AED6").unwrap(),
            failure: Some(failure()),
        })
    );
    assert_eq!(catalogue.state(&key("dog.jpg")).await.unwrap(), None);
    assert_eq!(
        wire.requests()[0],
        (
            "DynamoDB_20120810.GetItem".into(),
            json!({
                "TableName": "state",
                "Key": {"name": {"S": "dog.jpg"}},
                "ConsistentRead": true,
            })
        )
    );
}

#[tokio::test]
async fn finds_items_then_failures() {
    let wire = Wire::new([
        (200, json!({"Item": dog_attributes()})),
        (200, json!({})),
        (
            200,
            json!({"Item": {
                "name": {"S": "dog.jpg"},
                "sequencer": {"S": "01"},
                "failure": {"M": {
                    "code": {"S": "ImageTooLargeException"},
                    "message": {"S": "too large"},
                }},
            }}),
        ),
        (200, json!({})),
        (
            200,
            json!({"Item": {"name": {"S": "dog.jpg"}, "sequencer": {"S": "01"}}}),
        ),
    ]);
    let catalogue = catalogue(&wire);
    let name = key("dog.jpg");
    assert_eq!(
        catalogue.find(&name).await.unwrap(),
        Some(Entry::Item(dog()))
    );
    assert_eq!(
        catalogue.find(&name).await.unwrap(),
        Some(Entry::Failed(failure()))
    );
    assert_eq!(catalogue.find(&name).await.unwrap(), None);
    let tables: Vec<_> = wire
        .requests()
        .into_iter()
        .map(|(_, body)| body["TableName"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tables, ["media", "media", "state", "media", "state"]);
}

#[tokio::test]
async fn damage_is_reported() {
    let damaged = json!({"name": {"S": "dog.jpg"}, "type": {"S": "image"}});
    let wire = Wire::new([(200, json!({})), (200, json!({"Items": [damaged]}))]);
    let error = catalogue(&wire)
        .list(&Filter::default(), 1, None)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not read \"dog.jpg\" in the catalogue: its attribute \"labels\" is not a list of texts"
    );
}

/// Run it with the variables of a stage, as in
/// `cargo xtask local -- cargo test -p media -- --ignored`.
#[tokio::test]
#[ignore = "needs DynamoDB, named by the environment variables of a stage"]
async fn dynamodb_keeps_the_contract() {
    let environment = Environment::of_process();
    let tables = Tables::named_by(&environment).unwrap();
    let catalogue = DynamoCatalogue::new(&Aws::new(&environment).unwrap(), tables);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let prefix = format!("contract/{}/", started.as_nanos());
    check_catalogue(&catalogue, &prefix, async |name| {
        match catalogue.find(name).await.unwrap() {
            Some(Entry::Item(item)) => Some(item),
            Some(Entry::Failed(_)) | None => None,
        }
    })
    .await;

    let filter = Filter {
        name_prefix: Some(prefix.clone()),
        ..Filter::default()
    };
    let all = catalogue.list(&filter, 1000, None).await.unwrap();
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = catalogue.list(&filter, 2, after.as_ref()).await.unwrap();
        paged.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((paged, None), (all.items.clone(), all.next));

    for item in all.items {
        catalogue
            .record(&ObjectChange {
                name: item.name.clone(),
                sequencer: Sequencer::parse("FF").unwrap(),
                kind: ChangeKind::Removed,
            })
            .await
            .unwrap();
    }
}
