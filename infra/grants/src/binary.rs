//! Which operations of the AWS SDK stand in an executable.

use std::collections::BTreeSet;

use object::{Object, ObjectSymbol};

/// What an executable can call of the AWS SDK for Rust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binary {
    operations: BTreeSet<Operation>,
    /// Methods of the SDK's builders, by their paths.
    builder_methods: BTreeSet<String>,
}

/// An operation of an AWS service, in the words of the SDK.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The service, as the SDK's crate has it: `dynamodb` for `aws_sdk_dynamodb`.
    pub service: String,
    /// The type of the operation: `GetItem`.
    pub name: String,
}

/// Why an executable's operations cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file is not of a known format.
    #[error("the file is neither an ELF nor a Mach-O executable: {0}")]
    NotAnExecutable(object::Error),
    /// The names of functions are gone.
    #[error("the executable has no symbols of Rust code: it is stripped")]
    Stripped,
    /// Some of its Rust code is in another file.
    #[error("the executable takes Rust code from a dynamic library, such as `{0}`")]
    Dynamic(String),
}

impl Binary {
    /// Reads an executable, ELF or Mach-O, with the names of its functions.
    ///
    /// # Errors
    /// When the names do not tell everything.
    pub fn read(executable: &[u8]) -> Result<Self, Unreadable> {
        let file = object::File::parse(executable).map_err(Unreadable::NotAnExecutable)?;
        let mut binary = Self::default();
        let mut has_rust = false;
        for symbol in file.symbols().chain(file.dynamic_symbols()) {
            let Ok(name) = symbol.name() else { continue };
            if !symbol.is_undefined() && has_rust && !name.contains("aws_sdk_") {
                continue;
            }
            let Some(path) = rust_path(name) else {
                continue;
            };
            if symbol.is_undefined() {
                return Err(Unreadable::Dynamic(path));
            }
            has_rust = true;
            binary.add(&path);
        }
        if has_rust {
            Ok(binary)
        } else {
            Err(Unreadable::Stripped)
        }
    }

    /// The operations that its code can call.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter()
    }

    /// Whether its code can call a method of a builder, such as `types::_put::PutBuilder::build`
    /// of `dynamodb`.
    pub(crate) fn has_builder_method(&self, service: &str, method: &str) -> bool {
        self.builder_methods
            .contains(&format!("aws_sdk_{service}::{method}"))
    }

    /// One with `service Operation` and `service path::of::Builder::method`.
    #[cfg(test)]
    pub(crate) fn of(operations: &[&str], builder_methods: &[&str]) -> Self {
        let operations = operations.iter().map(|operation| {
            let (service, name) = operation.split_once(' ').unwrap();
            Operation {
                service: service.to_owned(),
                name: name.to_owned(),
            }
        });
        let methods = builder_methods.iter().map(|method| {
            let (service, path) = method.split_once(' ').unwrap();
            format!("aws_sdk_{service}::{path}")
        });
        Self {
            operations: operations.collect(),
            builder_methods: methods.collect(),
        }
    }

    fn add(&mut self, path: &str) {
        if let Some(operation) = operation(path) {
            self.operations.insert(operation);
        } else if let Some(method) = builder_method(path) {
            self.builder_methods.insert(method);
        }
    }
}

/// The path of a Rust function, without hashes; `None` for a symbol of another language.
fn rust_path(symbol: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(symbol).ok()?;
    let path = format!("{demangled:#}");
    // C++ mangles its names alike, but for the hash that ends the older form of Rust's.
    (demangled.to_string() != path).then_some(path)
}

/// The operation that a function belongs to.
///
/// The SDK hands its orchestrator an object that implements `RuntimePlugin`, one type for each
/// operation. The orchestrator calls the object by its virtual table, so no optimization inlines
/// the functions of the table. Every way to send a request makes this object: fluent builders,
/// paginators, waiters and presigned requests.
fn operation(path: &str) -> Option<Operation> {
    let path = path.strip_prefix("<aws_sdk_")?;
    let (of, implemented) = path.split_once(" as ")?;
    if implemented != "aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin>::config" {
        return None;
    }
    let (service, operation) = of.split_once("::operation::")?;
    let (_module, name) = operation.split_once("::")?;
    Some(Operation {
        service: service.to_owned(),
        name: name.to_owned(),
    })
}

/// `aws_sdk_dynamodb::types::_put::PutBuilder::item`, without the types that it is called with.
fn builder_method(path: &str) -> Option<String> {
    // The two forms of Rust's symbols: `Builder::item` and `<Builder>::item::<&str>`.
    let path = match path.strip_prefix('<') {
        None => path.to_owned(),
        Some(rest) => rest.replacen('>', "", 1),
    };
    let path = path.split("::<").next()?;
    let (of, method) = path.rsplit_once("::")?;
    let is_one = of.starts_with("aws_sdk_")
        && of.ends_with("Builder")
        && of.bytes().all(|byte| byte != b' ' && byte != b'<')
        && method
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_one.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEGACY: &str = "_ZN128_$LT$aws_sdk_dynamodb..operation..get_item..GetItem$u20$as$u20$aws_smithy_runtime_api..client..runtime_plugin..RuntimePlugin$GT$6config17h1a4d14d8fdcf439dE";
    const V0: &str = "_RNvXNtNtCsfI52k4RikCX_16aws_sdk_dynamodb9operation8get_itemNtB2_7GetItemNtNtNtCs80KxIaHuHGf_22aws_smithy_runtime_api6client14runtime_plugin13RuntimePlugin6config";

    #[test]
    fn both_forms_of_symbols_name_an_operation() {
        let expected = Operation {
            service: "dynamodb".to_owned(),
            name: "GetItem".to_owned(),
        };
        for symbol in [LEGACY, V0] {
            // Mach-O puts an underscore before every name.
            for symbol in [symbol.to_owned(), format!("_{symbol}")] {
                let path = rust_path(&symbol).unwrap();
                assert_eq!(operation(&path).as_ref(), Some(&expected), "{path}");
            }
        }
    }

    #[test]
    fn both_forms_of_symbols_name_a_builders_method() {
        for (symbol, expected) in [
            (
                "_ZN16aws_sdk_dynamodb9operation8get_item15_get_item_input19GetItemInputBuilder10table_name17hddf9b832e82aefcbE",
                "table_name",
            ),
            (
                "_RINvMNtNtNtCsfI52k4RikCX_16aws_sdk_dynamodb9operation8get_item15__get_item_inputNtB3_19GetItemInputBuilder10table_nameReECs32gj3y4fnmh_4main",
                "table_name",
            ),
            (
                "_RNvMNtNtNtCsfI52k4RikCX_16aws_sdk_dynamodb9operation8get_item15__get_item_inputNtB2_19GetItemInputBuilder5build",
                "build",
            ),
        ] {
            let path = rust_path(symbol).unwrap();
            let expected = format!(
                "aws_sdk_dynamodb::operation::get_item::_get_item_input::GetItemInputBuilder::{expected}"
            );
            assert_eq!(builder_method(&path), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_only_mentions_an_operation_is_none() {
        for path in [
            "core::ptr::drop_in_place<aws_sdk_dynamodb::operation::get_item::GetItem>",
            "<aws_sdk_dynamodb::operation::get_item::GetItem as core::fmt::Debug>::fmt",
            "<aws_sdk_dynamodb::operation::get_item::GetItemError as core::fmt::Display>::fmt",
            "<aws_sdk_dynamodb::config::ServiceRuntimePlugin as aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin>::config",
            "<alloc::vec::Vec<aws_sdk_dynamodb::types::_put::PutBuilder> as core::ops::Drop>::drop",
        ] {
            assert_eq!(operation(path), None, "{path}");
            assert_eq!(builder_method(path), None, "{path}");
        }
    }

    #[test]
    fn other_languages_have_no_rust_paths() {
        for symbol in ["main", "_ZN3foo3barE", "_ZNSt6vectorIiE4sizeEv", "_start"] {
            assert_eq!(rust_path(symbol), None, "{symbol}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(
            Binary::read(b"#!/bin/sh\n"),
            Err(Unreadable::NotAnExecutable(_))
        ));
    }
}
