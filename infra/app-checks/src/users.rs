//! Users: created, changed and deleted, and what follows in the stream.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use deploy::{Error, ErrorKind, HttpAnswer};
use serde_json::{Value, json};
use verify::{Check, Owned, OwnedId, PREFIX, Probe, Problem, Stopped};

use crate::media::{delete_object, next_cursor, seen};

pub(crate) const USERS: &str = "USERS_API_URL";
pub(crate) const USERS_API: &str = "users-api";
const STREAM: &str = "handle-user-stream";
const CHECK_EMAIL: &str = "check-email";

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "user-created",
        what: "POST /create makes a user",
    },
    Check {
        name: "user-object",
        what: "a new user gets an object",
    },
    Check {
        name: "user-flag",
        what: "a new user gets the right flag IsPersonalEmail",
    },
    Check {
        name: "users-scanned",
        what: "POST /scan has the users, with their flags",
    },
    Check {
        name: "users-paged",
        what: "POST /scan gives pages, and Next-Cursor leads on",
    },
    Check {
        name: "user-changed",
        what: "the flag follows a change of the e-mail address",
    },
    Check {
        name: "user-deleted",
        what: "POST /delete deletes a user, once",
    },
    Check {
        name: "user-object-removed",
        what: "a deleted user's object goes",
    },
];

/// A user of this run.
struct User {
    id: String,
    email: String,
    owned: [OwnedId; 2],
}

pub(crate) async fn run(probe: Probe) -> Result<(), Stopped> {
    let probe = &probe;
    let users = probe
        .check("user-created", async {
            let personal = create(probe, "personal@gmail.com").await?;
            let other = create(probe, "other@example.com").await?;
            Ok(([personal, other], "2 users".to_owned()))
        })
        .await?;
    let [personal, other] = &users;
    // From here on, the checks but for the last do not build on each other. Two functions read the
    // stream, so two effects follow at once.
    let with_object = probe.check("user-object", async {
        for user in &users {
            await_object(probe, user, true).await?;
        }
        Ok(((), "2 objects".to_owned()))
    });
    let with_flag = probe.check("user-flag", async {
        await_flag(probe, personal, true).await?;
        await_flag(probe, other, false).await?;
        Ok(((), "true and false".to_owned()))
    });
    let (object, _) = tokio::join!(with_object, with_flag);
    let _ = probe.check("users-scanned", scanned(probe, &users)).await;
    let _ = probe.check("users-paged", paged(probe)).await;
    let _ = probe
        .check("user-changed", async {
            change(probe, personal, "changed@example.com").await?;
            await_flag(probe, personal, false).await?;
            Ok(((), "true → false".to_owned()))
        })
        .await;
    probe
        .check("user-deleted", async {
            for user in &users {
                deleted(probe, user).await?;
            }
            Ok(((), "200, then 404".to_owned()))
        })
        .await?;
    // Without an object, there is none to go.
    object?;
    probe
        .check("user-object-removed", async {
            for user in &users {
                await_object(probe, user, false).await?;
                user.owned.into_iter().for_each(|id| probe.gone(id));
            }
            Ok(((), "no object".to_owned()))
        })
        .await
}

/// An address that no other run has.
fn address(probe: &Probe, address: &str) -> String {
    format!("{PREFIX}-{}-{address}", probe.run())
}

async fn create(probe: &Probe, email: &str) -> Result<User, Problem> {
    let email = address(probe, email);
    let next = probe.stage().errors(USERS_API);
    // Its id is known when the API has answered, and the answer may get lost.
    let nameless = own_by_email(probe, &email)?;
    let maker = probe.clone();
    probe
        .complete(async move {
            let body = json!({"email": email}).to_string();
            let answer = maker.http(USERS, "POST", "create", &body).await;
            let made_none = match &answer {
                Ok(answer) => (400..500).contains(&answer.status),
                // It was not sent.
                Err(Problem::NotChecked(_)) => true,
                Err(Problem::Difference(_)) => false,
            };
            if made_none {
                maker.gone(nameless);
            }
            let answer = answer?;
            let user: Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let id = user["id"].as_str().map(str::to_owned);
            let told = user["email"] == email.as_str() && user["timestamp"].is_u64();
            match id {
                Some(id) if answer.status == 200 && told => {
                    let owned = own(&maker, &id)?;
                    maker.gone(nameless);
                    Ok(User { id, email, owned })
                }
                _ => Err(Problem::difference(
                    "200 with the user's id, email and timestamp",
                    seen(&answer),
                    next,
                )),
            }
        })
        .await
}

fn dynamodb(probe: &Probe) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(probe.stage().target.sdk_config())
}

/// The table's key and attributes are named by its declaration.
fn key_of(probe: &Probe, id: &str) -> Result<HashMap<String, AttributeValue>, Problem> {
    let name = probe.stage().variable("USERS_KEY_ATTRIBUTE")?.to_owned();
    Ok(HashMap::from([(name, AttributeValue::S(id.to_owned()))]))
}

/// Ids are UUIDs, of which nothing is encoded.
fn object_of(id: &str) -> String {
    format!("{id}/userdata")
}

/// Owns a user, and the object that follows from it. The app deletes the object itself when it
/// learns that the user is gone, unless it is broken.
fn own(probe: &Probe, id: &str) -> Result<[OwnedId; 2], Problem> {
    let stage = probe.stage();
    let bucket = stage.variable("USER_BUCKET_NAME")?.to_owned();
    let key = object_of(id);
    let command = format!("aws s3 rm 's3://{bucket}/{key}'");
    let deleter = probe.clone();
    let object = Owned::new(format!("object {key}"), command, move || {
        let (probe, bucket, key) = (deleter.clone(), bucket.clone(), key.clone());
        async move { delete_object(&probe, &bucket, &key).await }
    });
    let table = stage.variable("USERS_TABLE_NAME")?;
    let attribute = stage.variable("USERS_KEY_ATTRIBUTE")?;
    let item = json!({attribute: {"S": id}});
    let command = format!("aws dynamodb delete-item --table-name {table} --key '{item}'");
    let delete = dynamodb(probe)
        .delete_item()
        .table_name(table)
        .set_key(Some(key_of(probe, id)?));
    let what = format!("user {id}");
    let item = Owned::new(what.clone(), command, move || {
        let (delete, what) = (delete.clone(), format!("delete {what}"));
        async move {
            let deleted = delete.send().await;
            deleted.map_err(|error| Error::aws(&what, &error))?;
            Ok(())
        }
    });
    Ok([probe.own(object), probe.own(item)])
}

/// Owns the user with this address, if the API makes one. Only a scan finds it.
fn own_by_email(probe: &Probe, email: &str) -> Result<OwnedId, Problem> {
    let stage = probe.stage();
    let table = stage.variable("USERS_TABLE_NAME")?;
    let attribute = stage.variable("USERS_EMAIL_ATTRIBUTE")?;
    let key = stage.variable("USERS_KEY_ATTRIBUTE")?.to_owned();
    let command = format!(
        "aws dynamodb scan --table-name {table} --filter-expression '#email = :email' --expression-attribute-names '{}' --expression-attribute-values '{}'",
        json!({"#email": attribute}),
        json!({":email": {"S": email}}),
    );
    let client = dynamodb(probe);
    let scan = client
        .scan()
        .table_name(table)
        .filter_expression("#email = :email")
        .projection_expression("#key")
        .expression_attribute_names("#email", attribute)
        .expression_attribute_names("#key", &key)
        .expression_attribute_values(":email", AttributeValue::S(email.to_owned()));
    let delete = client.delete_item().table_name(table);
    let what = format!("user {email}, if POST /create has made one");
    Ok(probe.own(Owned::new(what, command, move || {
        let (scan, delete, key) = (scan.clone(), delete.clone(), key.clone());
        async move {
            let mut pages = scan.into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| Error::aws("look for a user", &error))?;
                for item in page.items() {
                    let Some(id) = item.get(&key) else { continue };
                    let deleted = delete.clone().key(&key, id.clone()).send().await;
                    deleted.map_err(|error| Error::aws("delete a user", &error))?;
                }
            }
            Ok(())
        }
    })))
}

async fn await_object(probe: &Probe, user: &User, there: bool) -> Result<(), Problem> {
    let bucket = probe.stage().variable("USER_BUCKET_NAME")?;
    let key = object_of(&user.id);
    let look = || async {
        let target = &probe.stage().target;
        let head = target.s3().head_object().bucket(bucket).key(&key);
        let head = head.expected_bucket_owner(&target.account).send().await;
        let is_there = match head {
            Ok(_) => true,
            Err(error) => {
                let error = Error::aws(&format!("look at s3://{bucket}/{key}"), &error);
                if error.kind() != ErrorKind::NotFound {
                    return Err(error.into());
                }
                false
            }
        };
        let seen = if is_there {
            "it is there"
        } else {
            "it is not there"
        };
        Ok(if is_there == there {
            Ok(())
        } else {
            Err(seen.to_owned())
        })
    };
    let state = if there { "there" } else { "gone" };
    let expected = format!("object {key} is {state}");
    let next = probe.stage().errors(STREAM);
    probe.eventually(&expected, next, look).await
}

async fn await_flag(probe: &Probe, user: &User, personal: bool) -> Result<(), Problem> {
    let table = probe.stage().variable("USERS_TABLE_NAME")?;
    let attribute = probe
        .stage()
        .variable("USERS_IS_PERSONAL_EMAIL_ATTRIBUTE")?;
    let get = dynamodb(probe)
        .get_item()
        .table_name(table)
        .set_key(Some(key_of(probe, &user.id)?))
        .consistent_read(true);
    let look = || async {
        let answer = get.clone().send().await;
        let answer = answer.map_err(|error| Error::aws("read a user", &error))?;
        let flag = answer.item().map(|item| item.get(attribute));
        Ok(match flag {
            Some(Some(AttributeValue::Bool(flag))) if *flag == personal => Ok(()),
            Some(Some(AttributeValue::Bool(flag))) => Err(format!("it is {flag}")),
            Some(_) => Err("the user has no flag".to_owned()),
            None => Err("the table has no such user".to_owned()),
        })
    };
    let expected = format!("{attribute} of user {} is {personal}", user.id);
    let next = probe.stage().errors(CHECK_EMAIL);
    probe.eventually(&expected, next, look).await
}

async fn change(probe: &Probe, user: &User, email: &str) -> Result<(), Problem> {
    let stage = probe.stage();
    let update = dynamodb(probe)
        .update_item()
        .table_name(stage.variable("USERS_TABLE_NAME")?)
        .set_key(Some(key_of(probe, &user.id)?))
        .update_expression("SET #email = :email")
        // What is deleted meanwhile stays so.
        .condition_expression("attribute_exists(#email)")
        .expression_attribute_names("#email", stage.variable("USERS_EMAIL_ATTRIBUTE")?)
        .expression_attribute_values(":email", AttributeValue::S(address(probe, email)));
    let what = format!("change the e-mail address of user {}", user.id);
    probe
        .complete(async move {
            let updated = update.send().await;
            updated.map_err(|error| Error::aws(&what, &error))?;
            Ok(())
        })
        .await
}

/// The page of a scan, and the cursor of the next. What is in it may be anybody's, so it is not
/// shown.
async fn scan(probe: &Probe, body: &Value) -> Result<(Vec<Value>, Option<String>), Problem> {
    let answer = probe.http(USERS, "POST", "scan", &body.to_string()).await?;
    let users: Option<Vec<Value>> = serde_json::from_str(&answer.body).ok();
    match (answer.status, users) {
        (200, Some(users)) => Ok((users, next_cursor(&answer))),
        _ => Err(Problem::difference(
            "200 and a JSON array",
            told(&answer),
            probe.stage().errors(USERS_API),
        )),
    }
}

fn told(answer: &HttpAnswer) -> String {
    if answer.status == 200 {
        "200 and something else".to_owned()
    } else {
        seen(answer)
    }
}

async fn scanned(probe: &Probe, users: &[User; 2]) -> Result<((), String), Problem> {
    let next = probe.stage().errors(USERS_API);
    let expected = "POST /scan, page by page, has the two new users with their flags";
    let look = || async {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let mut body = json!({"limit": 1000});
            if let Some(cursor) = cursor {
                body["cursor"] = Value::String(cursor);
            }
            let (page, after) = scan(probe, &body).await?;
            found.extend(
                page.into_iter()
                    .filter(|user| users.iter().any(|ours| user["id"] == ours.id.as_str())),
            );
            cursor = after;
            if found.len() >= users.len() || cursor.is_none() {
                break;
            }
        }
        let right = |ours: &User| {
            let user = found.iter().find(|user| user["id"] == ours.id.as_str());
            user.is_some_and(|user| {
                user["email"] == ours.email.as_str()
                    && user["IsPersonalEmail"] == ours.email.ends_with("@gmail.com")
            })
        };
        Ok(if users.iter().all(right) {
            Ok(())
        } else {
            Err(format!("of the two, {}", json!(found)))
        })
    };
    probe.eventually(expected, next, look).await?;
    Ok(((), "both users".to_owned()))
}

/// There are two users at least, so there are two pages of one.
async fn paged(probe: &Probe) -> Result<((), String), Problem> {
    let next = probe.stage().errors(USERS_API);
    let expected = "POST /scan with the limit 1 leads from one user to another";
    let look = || async {
        let (first, cursor) = scan(probe, &json!({"limit": 1})).await?;
        let Some(cursor) = cursor else {
            return Ok(Err(format!("{} users and no Next-Cursor", first.len())));
        };
        let (second, _) = scan(probe, &json!({"limit": 1, "cursor": cursor})).await?;
        Ok(match (first.as_slice(), second.as_slice()) {
            ([first], [second]) if first["id"] != second["id"] => Ok(()),
            ([_], [_]) => Err("the same user twice".to_owned()),
            (first, second) => Err(format!("{} users, then {}", first.len(), second.len())),
        })
    };
    probe.eventually(expected, next, look).await?;
    Ok(((), "1 user each page".to_owned()))
}

async fn deleted(probe: &Probe, user: &User) -> Result<(), Problem> {
    let body = json!({"id": user.id}).to_string();
    let message = json!({"message": format!("user {} deleted", user.id)});
    for (status, expected) in [(200, Some(message)), (404, None)] {
        let answer = probe.http(USERS, "POST", "delete", &body).await?;
        let answered: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let right = match &expected {
            Some(message) => answered == *message,
            None => answered["Code"] == "NotFoundError",
        };
        if answer.status != status || !right {
            let form = expected.map_or_else(|| "NotFoundError".to_owned(), |body| body.to_string());
            return Err(Problem::difference(
                format!(
                    "POST /delete of user {} is answered by {status} with {form}",
                    user.id
                ),
                seen(&answer),
                probe.stage().errors(USERS_API),
            ));
        }
    }
    Ok(())
}
