//! What the compiler and the linker make of code that looks like the AWS SDK.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

use grants::{Binary, Unreadable};
use tempfile::TempDir;

const RUNTIME: &str = "
pub mod client { pub mod runtime_plugin {
    pub trait RuntimePlugin { fn config(&self) -> Option<u32>; }
} }";

/// Three operations.
const SDK: &str = "
extern crate aws_smithy_runtime_api;
pub mod operation {
    macro_rules! operation { ($module:ident, $name:ident, $number:literal) => { pub mod $module {
        pub struct $name;
        impl aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin for $name {
            fn config(&self) -> Option<u32> { Some($number) }
        }
    } } }
    operation!(get_item, GetItem, 1);
    operation!(put_item, PutItem, 2);
    operation!(scan, Scan, 3);
}
pub fn call(plugin: Box<dyn aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin>) {
    println!(\"{:?}\", plugin.config());
}";

/// Calls two of them, one of them never.
const FUNCTION: &str = "
extern crate aws_sdk_dynamodb;
use aws_sdk_dynamodb::{call, operation::*};
pub fn unreached() { call(Box::new(scan::Scan)); }
fn main() {
    call(Box::new(get_item::GetItem));
    if std::env::args().count() > 5 { call(Box::new(put_item::PutItem)); }
}";

fn compile(directory: &Path, name: &str, source: &str, arguments: &[&str]) {
    let file = directory.join(format!("{name}.rs"));
    std::fs::write(&file, source).unwrap();
    let output = Command::new("rustc")
        .current_dir(directory)
        .args(["--edition", "2021", "-L", ".", "--crate-name", name])
        .args(arguments)
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn built(sdk: &str, options: &[&str]) -> Result<Binary, Unreadable> {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    let with = |crate_type| [&["--crate-type", crate_type], options].concat();
    compile(directory, "aws_smithy_runtime_api", RUNTIME, &with("rlib"));
    compile(directory, "aws_sdk_dynamodb", SDK, &with(sdk));
    compile(directory, "function", FUNCTION, options);
    Binary::read(&std::fs::read(directory.join("function")).unwrap())
}

fn operations(binary: &Binary) -> Vec<&str> {
    let operations = binary.operations();
    operations
        .map(|operation| operation.name.as_str())
        .collect()
}

#[test]
fn what_the_code_can_call_is_found_and_nothing_else() {
    for options in [
        &[][..],
        &["-Csymbol-mangling-version=v0"],
        &["-Copt-level=3"],
        &["-Copt-level=3", "-Clto=fat", "-Ccodegen-units=1"],
        &["-Cstrip=debuginfo"],
    ] {
        let binary = built("rlib", options).unwrap();
        assert_eq!(operations(&binary), ["GetItem", "PutItem"], "{options:?}");
    }
}

#[test]
fn a_stripped_executable_is_refused() {
    let refused = built("rlib", &["-Cstrip=symbols"]).unwrap_err();
    assert!(matches!(refused, Unreadable::Stripped), "{refused}");
}

#[test]
fn an_executable_with_code_in_a_dynamic_library_is_refused() {
    let refused = built("dylib", &["-Cprefer-dynamic"]).unwrap_err();
    assert!(matches!(refused, Unreadable::Dynamic(_)), "{refused}");
    // Stripped or not, it names what it takes.
    let refused = built("dylib", &["-Cprefer-dynamic", "-Cstrip=symbols"]).unwrap_err();
    assert!(matches!(refused, Unreadable::Dynamic(_)), "{refused}");
}
