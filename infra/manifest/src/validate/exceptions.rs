//! Exceptions from what `cargo xtask grants` proves. Whether the binary has what they except is
//! for that command to find.

use std::collections::BTreeSet;

use super::{Check, Subject};
use crate::declare::{Direction, Function};
use crate::origin::Declared;

impl Check<'_> {
    pub(super) fn exceptions(&mut self, function: &Function) {
        let grants = function.grants.iter();
        let granted: BTreeSet<String> = grants.flat_map(|grant| grant.what.iam_actions()).collect();
        let mut seen = BTreeSet::new();
        for Declared {
            what: exception,
            origin,
        } in &function.exceptions
        {
            let subject = Subject::of_function(function).at(*origin);
            let action = &exception.action;
            self.require(
                !exception.reason.trim().is_empty(),
                &subject,
                format!("has an exception for `{action}` for no reason"),
                "say in `Exception` why the difference is meant to be",
            );
            self.require(
                seen.insert(action),
                &subject,
                format!("has two exceptions for `{action}`"),
                "remove one",
            );
            let (fits, is) = match exception.direction {
                Direction::Missing => (!granted.contains(action), "is"),
                Direction::Unused => (granted.contains(action), "is not"),
            };
            self.require(
                fits,
                &subject,
                format!("has an exception for `{action}`, and {is} granted it"),
                "remove the exception",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::declare::{Exception, Function, Manifest, Table, TableAction};
    use crate::stage::Stage;

    fn assert_complaints(function: Function, parts: &[&str]) {
        let manifest = Manifest {
            name: "shop",
            buckets: vec![],
            tables: vec![table()],
            topics: vec![],
            publishers: vec![],
            http_apis: vec![],
            functions: vec![function],
        };
        let violations = super::super::violations(&manifest, &Stage::with_defaults("test"));
        assert_eq!(violations.len(), parts.len(), "{violations:#?}");
        for (violation, part) in violations.iter().zip(parts) {
            let violation = violation.to_string();
            assert!(violation.contains(part), "{violation:?} lacks {part:?}");
        }
    }

    fn table() -> Table {
        Table::new("orders", "id")
    }

    fn sell() -> Function {
        Function::new("sell")
    }

    #[test]
    fn exceptions_have_a_reason_and_something_to_except() {
        let get = "dynamodb:GetItem";
        let reads = || sell().grant(table().allow([TableAction::GetItem]));
        let sound = reads()
            .exception(Exception::unused(get, "an extension calls it"))
            .exception(Exception::missing("sts:AssumeRole", "only profiles do"));
        assert_complaints(sound, &[]);
        assert_complaints(
            reads().exception(Exception::unused(get, " ")),
            &["has an exception for `dynamodb:GetItem` for no reason"],
        );
        assert_complaints(
            reads().exception(Exception::missing(get, "because")),
            &["has an exception for `dynamodb:GetItem`, and is granted it; remove"],
        );
        assert_complaints(
            sell().exception(Exception::unused(get, "because")),
            &["has an exception for `dynamodb:GetItem`, and is not granted it; remove"],
        );
        let twice = reads().exception(Exception::unused(get, "because"));
        assert_complaints(
            twice.exception(Exception::unused(get, "because")),
            &["has two exceptions for `dynamodb:GetItem`; remove one"],
        );
    }
}
