use crate::grant::Grant;
use crate::kind::{ItemChange::Insert, TableAction};
use crate::manifest::Manifest;
use crate::testing::{complaints, complaints_on, shop};

#[test]
fn a_sound_manifest_has_no_violation() {
    let shop = shop();
    shop.app
        .function("serve")
        .trigger(shop.http_api.get("/"))
        .trigger(shop.http_api.get("/orders/{id}"))
        .trigger(shop.http_api.get("/orders/{id}/{rest+}"))
        .grant(shop.table.allow([TableAction::Scan]))
        .environment("GREETING", "hello");
    shop.app
        .function("watch")
        .trigger(shop.bucket.object_created())
        .trigger(shop.bucket.object_removed())
        .trigger(shop.topic.published())
        .grant(shop.publisher.pass())
        .grant(Grant::unscoped("rekognition:DetectLabels", "no ARN"));
    shop.app
        .function("follow")
        .trigger(shop.table.item_changes([Insert]));
    complaints(&shop.app, "").are(&[]);
}

#[test]
fn all_violations_are_reported_and_say_what_to_change() {
    let app = Manifest::new("Shop");
    let first = line!() + 1;
    app.function("sell").memory_mb(64).timeout_seconds(0);
    let yaml = "dev:\n  production: true\n  log_retention_days: 2\n";
    let file = file!();
    assert_eq!(
        complaints_on(&app, yaml).0,
        [
            "infra/stages.yaml:3: stage `dev` has `log_retention_days: 2`, a period that \
             CloudWatch Logs does not offer; choose from 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, \
             180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653"
                .to_owned(),
            "app `Shop` has a name that is not in kebab-case; use lower-case letters and digits \
             in words joined by single hyphens, a letter first"
                .to_owned(),
            format!(
                "{file}:{first}: function `sell` asks for 64 MB of memory; set `memory_mb` \
                 to 128 to 10240"
            ),
            format!(
                "{file}:{first}: function `sell` has a timeout of 0 s; set \
                 `timeout_seconds` to 1 to 900"
            ),
        ]
    );
}

#[test]
fn violations_tell_the_line_of_what_is_wrong() {
    let shop = shop();
    let first = line!() + 1;
    shop.sell
        .trigger(shop.http_api.get("orders"))
        .grant(shop.table.allow([]))
        .environment("lower", "");
    shop.app.table("Carts", "id");
    let here = |line: u32| format!("{}:{line}: ", file!());
    let places = [
        "infra/stages.yaml:1: ".to_owned(),
        here(first + 1),
        "infra/stages.yaml:1: ".to_owned(),
        here(first + 4),
        here(first + 3),
        here(first + 2),
    ];
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    complaints(&shop.app, "timeout_seconds: 901").are(&places);
}

#[test]
fn names_are_unique_and_in_kebab_case() {
    let shop = shop();
    shop.app.function("Sell");
    shop.app.function("sell");
    shop.app.table("orders", "id");
    complaints(&shop.app, "").are(&[
        "table `orders` is declared twice",
        "function `Sell` has a name that is not",
        "function `sell` is declared twice",
    ]);
}

#[test]
fn names_that_become_the_same_logical_id_are_found() {
    let shop = shop();
    shop.app.table("order-1", "id");
    shop.app.table("order1", "id");
    let second = line!() - 1;
    complaints(&shop.app, "").are(&[&format!(
        "{}:{second}: logical ID `Order1Table` derives from the names of two",
        file!()
    )]);
}

#[test]
fn an_app_has_a_function() {
    complaints(&Manifest::new("shop"), "").are(&["app `shop` has no function"]);
}

#[test]
fn references_lead_to_resources_of_the_same_app() {
    let shop = shop();
    let elsewhere = Manifest::new("elsewhere");
    shop.sell
        .trigger(elsewhere.bucket("photo").object_created())
        .variable_of(&elsewhere.bucket("photoss"))
        .grant(
            elsewhere
                .table("banana", "id")
                .allow([TableAction::GetItem]),
        );
    complaints(&shop.app, "").are(&[
        "refers to bucket `photo`, which the manifest does not declare; did you mean `photos`?",
        "refers to table `banana`, which the manifest does not declare; declare it with this app",
        "refers to bucket `photoss`, which the manifest does not declare; did you mean `photos`?",
    ]);
}

#[test]
fn what_is_said_after_a_trigger_was_made_counts() {
    let shop = shop();
    let created = shop.bucket.object_created();
    shop.sell.trigger(created);
    shop.bucket.variable("PHOTOS");
    let app = crate::testing::resolve(&shop.app, "");
    let sell = app.functions().next().unwrap();
    assert!(sell.environment().contains_key("PHOTOS"));
}
