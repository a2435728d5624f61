use super::*;
use std::fs;
use std::path::Path;

use ::openapi::{Answer, Api, Operation};
use manifest::Manifest;

fn orders() -> Api {
    let list = Operation::new("listOrders", "A page of orders");
    Api::new("Shop", "1", "Orders.").route(
        "GET /orders",
        list.answer(Answer::new::<Vec<String>>(200, "A page.")),
    )
}

fn shop() -> Manifest {
    let app = Manifest::new("shop");
    let api = app.http_api("orders").openapi(|| orders().text());
    app.function("order").trigger(api.get("/orders"));
    app
}

/// The same with a route that nobody has described.
fn shop_with_more() -> Manifest {
    let app = Manifest::new("shop");
    let api = app.http_api("orders").openapi(|| orders().text());
    app.function("order")
        .trigger(api.get("/orders"))
        .trigger(api.post("/orders"));
    app
}

/// The same with an answer of another type.
fn shop_with_numbers() -> Manifest {
    let app = Manifest::new("shop");
    let api = app.http_api("orders").openapi(|| {
        let list = Operation::new("listOrders", "A page of orders");
        let answer = Answer::new::<Vec<u32>>(200, "A page.");
        let api = Api::new("Shop", "1", "Orders.");
        api.route("GET /orders", list.answer(answer)).text()
    });
    app.function("order").trigger(api.get("/orders"));
    app
}

fn workspace(app: fn() -> Manifest, folder: &Path) -> Workspace {
    Workspace::new(app, None, Some(folder.to_owned()))
}

fn write(app: fn() -> Manifest, folder: &Path) {
    let args = cli::Openapi {
        api: None,
        write: true,
        check: false,
        diff: None,
        exit_code: false,
    };
    run(&workspace(app, folder), &args).unwrap();
}

#[test]
fn a_document_is_kept_until_a_type_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let missing = check(&workspace(shop, folder)).unwrap_err();
    assert_eq!(missing.message(), "1 of the files in openapi/ are stale");
    write(shop, folder);
    check(&workspace(shop, folder)).unwrap();
    let kept = fs::read_to_string(folder.join("openapi/orders.json")).unwrap();
    assert_eq!(kept, orders().text());
    let stale = check(&workspace(shop_with_numbers, folder)).unwrap_err();
    assert_eq!(stale.message(), "1 of the files in openapi/ are stale");
}

#[test]
fn each_route_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let error = check(&workspace(shop_with_more, folder.path())).unwrap_err();
    assert!(error.message().contains("`POST /orders`"), "{error:?}");
}

#[test]
fn tables_are_written_between_their_marks() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let page = folder.join("docs/deep").join("orders.md");
    fs::create_dir_all(page.parent().unwrap()).unwrap();
    let begin = "<!-- Written by `cargo xtask openapi --write`: ";
    let end = "<!-- The end of the table. -->\n";
    let text = |table: &str| {
        format!(
            "before\n{begin}orders, routes. -->\n{table}{end}between\n{begin}others, routes. -->\nkept\n{end}after\n"
        )
    };
    fs::write(&page, text("")).unwrap();
    write(shop, folder);
    let table = "\n| request       | answer           |\n| ------------- | ---------------- |\n| `GET /orders` | A page of orders |\n\n";
    assert_eq!(fs::read_to_string(&page).unwrap(), text(table));
    check(&workspace(shop, folder)).unwrap();
    fs::write(&page, text("old\n")).unwrap();
    let error = check(&workspace(shop, folder)).unwrap_err();
    assert!(error.message().ends_with("orders.md is stale"), "{error:?}");
    fs::write(&page, format!("{begin}orders, prices. -->\n{end}")).unwrap();
    let error = check(&workspace(shop, folder)).unwrap_err();
    assert!(error.message().contains("`prices`"), "{error:?}");
    fs::write(&page, format!("{begin}orders, routes. -->\n")).unwrap();
    let error = check(&workspace(shop, folder)).unwrap_err();
    assert!(error.message().ends_with("has no end"), "{error:?}");
}

#[test]
fn what_breaks_clients_since_a_revision_or_a_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        let output = git.args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let breaks = |app: fn() -> Manifest, api: Option<&str>, old: &str| {
        let workspace = workspace(app, folder);
        diff(&workspace, &described(&workspace)?, api, old)
    };
    git(&["init", "--quiet"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "empty"]);
    // There was no document yet.
    assert!(!breaks(shop, None, "HEAD").unwrap());
    write(shop, folder);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "document"]);
    assert!(!breaks(shop, None, "HEAD").unwrap());
    assert!(breaks(shop_with_numbers, None, "HEAD").unwrap());
    assert!(breaks(shop_with_numbers, Some("orders"), "openapi/orders.json").unwrap());
    for old in ["no-revision", "--help"] {
        let error = breaks(shop, None, old).unwrap_err();
        assert!(error.message().contains("neither a file nor"), "{error:?}");
    }
    let error = breaks(shop, Some("others"), "HEAD").unwrap_err();
    assert_eq!(error.message(), "the app describes no HTTP API `others`");
    fs::write(folder.join("other.json"), "{}").unwrap();
    let error = breaks(shop, None, "other.json").unwrap_err();
    assert_eq!(error.message(), "other.json holds no OpenAPI document");
}
