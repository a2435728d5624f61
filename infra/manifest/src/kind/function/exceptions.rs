//! Exceptions from what `cargo xtask grants` proves. Whether the binary has what they except is
//! for that command to find.

use std::collections::BTreeSet;

use crate::check::{Check, Subject};
use crate::exception::Direction;
use crate::function::Declaration;
use crate::origin::Declared;

pub(super) fn check(check: &mut Check<'_>, function: &Declaration) {
    let grants = function.grants.iter();
    let granted: BTreeSet<&String> = grants.flat_map(|grant| grant.what.iam_actions()).collect();
    let mut seen = BTreeSet::new();
    for Declared {
        what: exception,
        origin,
    } in &function.exceptions
    {
        let subject = Subject::of_function(function).at(*origin);
        let action = &exception.action;
        check.require(
            !exception.reason.trim().is_empty(),
            &subject,
            format!("has an exception for `{action}` without a reason"),
            "say in `Exception` why the difference is intended",
        );
        check.require(
            seen.insert(action),
            &subject,
            format!("has two exceptions for `{action}`"),
            "remove one",
        );
        let (fits, is) = match exception.direction {
            Direction::Missing => (!granted.contains(action), "is"),
            Direction::Unused => (granted.contains(action), "is not"),
        };
        check.require(
            fits,
            &subject,
            format!("has an exception for `{action}`, and {is} granted it"),
            "remove the exception",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::exception::Exception;
    use crate::kind::TableAction;
    use crate::testing::{Shop, complaints, shop};

    #[test]
    fn exceptions_have_a_reason_and_something_to_except() {
        let get = "dynamodb:GetItem";
        let reads = || {
            let shop = shop();
            shop.sell.grant(shop.table.allow([TableAction::GetItem]));
            shop
        };
        let with = |shop: Shop, exceptions: &[Exception]| {
            for exception in exceptions {
                shop.sell.exception(exception.clone());
            }
            complaints(&shop.app, "")
        };
        let unused = |reason| Exception::unused(get, reason);
        let sound = [
            unused("an extension calls it"),
            Exception::missing("sts:AssumeRole", "only profiles do"),
        ];
        with(reads(), &sound).are(&[]);
        with(reads(), &[unused(" ")])
            .are(&["has an exception for `dynamodb:GetItem` without a reason"]);
        with(reads(), &[Exception::missing(get, "because")])
            .are(&["has an exception for `dynamodb:GetItem`, and is granted it; remove"]);
        with(shop(), &[unused("because")])
            .are(&["has an exception for `dynamodb:GetItem`, and is not granted it; remove"]);
        with(reads(), &[unused("because"), unused("because")])
            .are(&["has two exceptions for `dynamodb:GetItem`; remove one"]);
    }
}
