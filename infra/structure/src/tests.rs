use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::{Cycle, cycles};

/// The circles in a crate of these files, each with its text.
fn found(files: &[(&str, &str)]) -> Vec<Cycle> {
    try_found(files).unwrap()
}

fn try_found(files: &[(&str, &str)]) -> io::Result<Vec<Cycle>> {
    let folder = TempDir::new().unwrap();
    for (file, text) in files {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    cycles(&folder.path().join(files[0].0), folder.path())
}

/// The names of the modules in each circle.
fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    found(files)
        .into_iter()
        .map(|cycle| cycle.modules)
        .collect()
}

/// The modules `orders` and `reports` with these texts.
fn orders_and_reports(orders: &str, reports: &str) -> Vec<Vec<String>> {
    circles(&[
        ("lib.rs", "mod orders; mod reports;"),
        ("orders.rs", orders),
        ("reports.rs", reports),
    ])
}

#[test]
fn two_modules_that_refer_to_each_other_are_a_circle() {
    let cycles = found(&[
        ("src/lib.rs", "mod orders;\nmod prices;\nmod reports;\n"),
        (
            "src/orders.rs",
            "use crate::prices::Price;\nuse crate::reports::Report;\npub struct Order(Price);\n",
        ),
        ("src/prices.rs", "pub struct Price;\n"),
        (
            "src/reports.rs",
            "pub struct Report;\n\nfn of(order: &crate::orders::Order) {}\n",
        ),
    ]);
    let told: Vec<String> = cycles.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "modules `orders` and `reports` refer to each other in a circle:\n\
          \x20 `orders` refers to `reports` by `crate::reports::Report` in src/orders.rs:2\n\
          \x20 `reports` refers to `orders` by `crate::orders::Order` in src/reports.rs:3"
        ]
    );
}

#[test]
fn one_direction_is_no_circle() {
    let reports = "use crate::orders::Order;";
    assert!(orders_and_reports("pub struct Order;", reports).is_empty());
}

#[test]
fn a_circle_of_three_is_found_and_what_hangs_on_it_is_left_out() {
    let circles = circles(&[
        ("lib.rs", "mod a; mod b; mod c; mod start; mod end;"),
        ("start.rs", "use crate::a;"),
        ("a.rs", "use crate::b;"),
        ("b.rs", "use crate::c; use crate::end;"),
        ("c.rs", "use crate::a;"),
        ("end.rs", ""),
    ]);
    assert_eq!(circles, [["a", "b", "c"]]);
}

#[test]
fn circles_that_do_not_touch_are_told_apart() {
    let circles = circles(&[(
        "lib.rs",
        "mod a { use super::b; } mod b { use super::a; use super::c; }
         mod c { use super::d; } mod d { use super::c; }",
    )]);
    assert_eq!(circles, [["a", "b"], ["c", "d"]]);
}

#[test]
fn a_re_export_does_not_hide_a_circle() {
    for re_export in [
        "pub use orders::Order;",
        "pub use self::orders::*;",
        "pub use orders::Order as Purchase; pub use Purchase as Order;",
        "use crate::orders; pub use orders::Order;",
    ] {
        let root = format!("mod orders; mod reports; {re_export}");
        let found = circles(&[
            ("lib.rs", &root),
            (
                "orders.rs",
                "pub struct Order; fn report() { crate::reports::of(&Order) }",
            ),
            ("reports.rs", "pub fn of(order: &crate::Order) {}"),
        ]);
        assert_eq!(found, [["orders", "reports"]], "{re_export}");
    }
}

#[test]
fn a_re_export_from_a_module_below_does_not_hide_a_circle() {
    let found = circles(&[
        ("lib.rs", "mod orders; mod reports;"),
        ("orders.rs", "mod list; mod total; pub use list::List;"),
        ("orders/list.rs", "pub struct List(super::total::Total);"),
        (
            "orders/total.rs",
            "pub struct Total; fn of(list: &super::List) {}",
        ),
        ("reports.rs", "use crate::orders::List;"),
    ]);
    assert_eq!(found, [["orders::list", "orders::total"]]);
}

#[test]
fn what_lies_below_a_module_counts_as_the_module() {
    let found = circles(&[
        ("main.rs", "mod orders; mod reports;"),
        ("orders/mod.rs", "mod list;"),
        ("orders/list.rs", "use crate::reports::pages::Page;"),
        (
            "reports.rs",
            "pub mod pages { pub struct Page; } mod titles { mod short; }",
        ),
        (
            "reports/titles/short.rs",
            "use super::super::super::orders;",
        ),
    ]);
    assert_eq!(found, [["orders", "reports"]]);
}

#[test]
fn a_module_and_its_parent_are_no_circle() {
    let found = circles(&[
        ("lib.rs", "mod orders; pub struct Id; use orders::Order;"),
        (
            "orders.rs",
            "mod list; pub struct Order(crate::Id, list::List);",
        ),
        ("orders/list.rs", "pub struct List(Vec<super::Order>);"),
    ]);
    assert!(found.is_empty());
}

#[test]
fn a_path_counts_wherever_it_stands() {
    let uses = [
        "use crate::orders;",
        "use crate::{orders::{self, Order}};",
        "use super::orders::*;",
        "pub(crate) use crate::orders::Order as Purchase;",
        "fn of(order: &crate::orders::Order) {}",
        "fn of<T: Into<crate::orders::Order>>(order: T) {}",
        "fn of() { super::orders::list(); }",
        "fn of() { use crate::orders::list; }",
        "fn of() { match 1 { crate::orders::LIMIT => {} _ => {} } }",
        "impl crate::orders::Order {}",
        "fn of() { println!(\"{}\", crate::orders::LIMIT); }",
        "fn of() { println!(\"{:?}\", [1, (2 + crate::orders::LIMIT)]); }",
        "macro_rules! of { () => { $crate::orders::LIMIT }; }",
        "#[derive(crate::orders::Order)] struct Report;",
        "struct Report { #[serde(with = \"crate::orders\")] at: u64 }",
        "use super::*; struct Report(orders::Order);",
        "use super::*; fn of() { vec![orders::Order] }",
        "mod inner { use super::super::orders; }",
        "use crate::orders as purchases; fn of() { purchases::list(); }",
    ];
    for reports in uses {
        let found = orders_and_reports("use crate::reports;", reports);
        assert_eq!(found, [["orders", "reports"]], "{reports}");
    }
}

#[test]
fn what_only_looks_like_a_path_does_not_count() {
    let others = [
        "use std::fmt;",
        "use other::orders::Order;",
        "fn of(orders: u32) -> u32 { orders }",
        "fn of() { println!(\"{}\", it.orders); }",
        "fn of() { println!(\"crate::orders\"); }",
        "/// As [`crate::orders`].\nstruct Report;",
        "// use crate::orders;",
        "struct Report { orders: u32 }",
    ];
    for reports in others {
        let found = orders_and_reports("use crate::reports;", reports);
        assert!(found.is_empty(), "{reports}");
    }
}

#[test]
fn tests_are_left_out() {
    let tests = [
        "#[cfg(test)] use crate::orders;",
        "#[cfg(test)] mod tests { use crate::orders; }",
        "#[cfg(test)] mod tests;",
        "#[cfg(all(test, unix))] fn of(order: &crate::orders::Order) {}",
        "struct Report; impl Report { #[cfg(test)] fn of(order: &crate::orders::Order) {} }",
        "struct Report { #[cfg(test)] order: crate::orders::Order }",
        "fn of() { #[cfg(test)] use crate::orders; }",
    ];
    for reports in tests {
        let found = orders_and_reports("use crate::reports;", reports);
        assert!(found.is_empty(), "{reports}");
    }
    for reports in [
        "#[cfg(not(test))] use crate::orders;",
        "#[cfg(any(test, unix))] use crate::orders;",
    ] {
        let found = orders_and_reports("use crate::reports;", reports);
        assert_eq!(found, [["orders", "reports"]], "{reports}");
    }
}

#[test]
fn an_exported_macro_is_defined_in_its_module() {
    let orders = "#[macro_export] macro_rules! order { () => {}; } use crate::reports;";
    let reports = "fn of() { crate::order!(); }";
    assert_eq!(orders_and_reports(orders, reports), [["orders", "reports"]]);
}

#[test]
fn imports_that_lead_to_themselves_come_to_an_end() {
    let orders = "use crate::reports::*; use list; fn of() { list::all() }";
    let reports = "pub use crate::orders::*;";
    assert_eq!(orders_and_reports(orders, reports), [["orders", "reports"]]);
}

#[test]
fn a_file_that_is_missing_or_no_rust_is_an_error() {
    let missing = try_found(&[("lib.rs", "mod orders;")])
        .unwrap_err()
        .to_string();
    assert!(missing.contains("orders/mod.rs"), "{missing}");
    let broken = try_found(&[("lib.rs", "mod orders;"), ("orders.rs", "\nfn fn")]);
    let broken = broken.unwrap_err().to_string();
    assert!(broken.contains("orders.rs: line 2"), "{broken}");
    assert!(cycles(Path::new("nowhere/lib.rs"), Path::new("")).is_err());
}
