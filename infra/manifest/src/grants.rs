//! From a grant to what it allows, and from an IAM action to the grant that allows it.
//!
//! `cargo xtask grants` compares what functions are granted with what they can call. It, and
//! the local stage when it denies a call, name the line of Rust that is missing.

use std::fmt;

use crate::app::App;
use crate::exception::{Direction, Exception};
use crate::function::Function;
use crate::kind::{self, Grants, KINDS, Kind};
use crate::origin::{Declared, Origin};
use crate::resource_id::ResourceId;

/// An action that a function is granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantedAction {
    /// IAM's name of the action, such as `s3:GetObject`.
    pub action: String,
    /// The resource, such as ``bucket `photos` ``; `None` if the grant is on every resource.
    pub resource: Option<String>,
    /// The line of the grant.
    pub declared_at: String,
}

/// A difference between grants and binary that is meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredException {
    /// Which side of the difference has the action.
    pub direction: Direction,
    /// IAM's name of the action.
    pub action: String,
    /// Why it is meant to be.
    pub reason: String,
    /// The line of the exception.
    pub declared_at: String,
}

/// A line of Rust that grants an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLine {
    /// The line to change, or the declaration of the function to add the line to.
    pub at: String,
    /// Whether it takes the place of a line.
    pub replaces: bool,
    /// The line, such as `.grant(photos.allow([GetObject]))`.
    pub rust: String,
    /// What a name in capitals stands for, if the resource is not known.
    pub stands_for: Option<String>,
}

impl fmt::Display for GrantLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, rust, .. } = self;
        if self.replaces {
            write!(f, "replace the grant at {at} by {rust}")?;
        } else {
            write!(f, "add {rust} to the function at {at}")?;
        }
        match &self.stands_for {
            Some(stands_for) => write!(f, ", where {stands_for}"),
            None => Ok(()),
        }
    }
}

/// Why no line of Rust grants an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoGrant {
    /// The manifest grants it already, at this line.
    GrantedAlready(String),
    /// The vocabulary of the manifest has no grant of this action.
    NoWord(String),
    /// The resource, by its ARN or kind, is not one of the manifest.
    NotDeclared(String),
}

impl fmt::Display for NoGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrantedAlready(at) => write!(
                f,
                "{at} grants it: if the grant is new, deploy the stage again; if not, see which policy of the resource denies it"
            ),
            Self::NoWord(action) => write!(
                f,
                "add a grant of {action} to the vocabulary in infra/manifest/src/kind"
            ),
            Self::NotDeclared(resource) => write!(
                f,
                "the manifest does not declare {resource}: see whether the function should use it"
            ),
        }
    }
}

impl Function {
    /// What it is granted, action by action.
    #[must_use]
    pub fn granted_actions(&self) -> Vec<GrantedAction> {
        let granted = self.declared_grants().flat_map(|grant| {
            let resource = grant.what.resource().map(ToString::to_string);
            let declared_at = grant.origin.to_string();
            let actions = grant.what.iam_actions().iter();
            actions.map(move |action| GrantedAction {
                action: action.clone(),
                resource: resource.clone(),
                declared_at: declared_at.clone(),
            })
        });
        granted.collect()
    }

    /// The differences between its grants and its binary that are meant to be.
    #[must_use]
    pub fn exceptions(&self) -> Vec<DeclaredException> {
        let declared = self.declared_exceptions().map(|Declared { what, origin }| {
            let Exception {
                direction,
                action,
                reason,
            } = what.clone();
            DeclaredException {
                direction,
                action,
                reason,
                declared_at: origin.to_string(),
            }
        });
        declared.collect()
    }
}

impl App {
    /// The resource of the manifest that has this ARN on the app's stage, or an object, an item
    /// or an index in it; such as ``table `orders` ``.
    #[must_use]
    pub fn resource_at(&self, arn: &str) -> Option<String> {
        self.id_at(arn).map(|id| id.to_string())
    }

    /// The line of Rust that grants `action` to `function`. `arn` is what the action was denied
    /// on; without it, the resource is left open unless the manifest has only one of its kind.
    /// `source` reads a line of a file of the workspace, for the names of variables in it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn grant_line(
        &self,
        function: &Function,
        action: &str,
        arn: Option<&str>,
        source: impl Fn(&str, u32) -> Option<String>,
    ) -> Result<GrantLine, NoGrant> {
        let at = arn.and_then(|arn| self.id_at(arn));
        if let Some(id) = at.as_ref().filter(|id| kind::resource::is(id)) {
            return self.raw_grant_line(function, action, id, source);
        }
        let Some(word) = Word::of(action, at.as_ref())? else {
            return unscoped_grant_line(function, action);
        };
        let of_kind: Vec<(ResourceId, Origin)> = self
            .resources()
            .filter(|(id, _)| id.is_of(word.kind.noun))
            .collect();
        let resource = match (arn, of_kind.as_slice()) {
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
            (Some(_), _) => {
                let mut of_kind = of_kind.iter();
                of_kind
                    .find(|(of_kind, _)| Some(of_kind) == at.as_ref())
                    .cloned()
            }
        };
        let Some((id, origin)) = resource else {
            let names: Vec<String> = of_kind
                .iter()
                .map(|(id, origin)| variable(id, *origin, &source))
                .collect();
            let noun = word.kind.noun.noun;
            return match (arn, names.is_empty()) {
                (Some(arn), _) => Err(NoGrant::NotDeclared(arn.to_owned())),
                (None, true) => Err(NoGrant::NotDeclared(format!("a {noun}"))),
                (None, false) => {
                    let placeholder = noun.to_uppercase();
                    Ok(GrantLine {
                        at: function.declared_at(),
                        replaces: false,
                        rust: word.grant(&placeholder, &[]),
                        stands_for: Some(format!("{placeholder} is one of: {}", names.join(", "))),
                    })
                }
            };
        };
        let mut of_resource = function
            .declared_grants()
            .filter(|grant| grant.what.resource() == Some(&id));
        let present = of_resource.next();
        let granted = present.map_or(&[][..], |grant| grant.what.iam_actions());
        if let Some(grant) = present
            && granted.iter().any(|granted| granted == action)
        {
            return Err(NoGrant::GrantedAlready(grant.origin.to_string()));
        }
        let at = present.map_or_else(|| function.declared_at(), |grant| grant.origin.to_string());
        Ok(GrantLine {
            at,
            replaces: present.is_some(),
            rust: word.grant(&variable(&id, origin, &source), granted),
            stands_for: None,
        })
    }

    /// As [`grant_line`](Self::grant_line), for a raw resource: its kind has no words for actions.
    fn raw_grant_line(
        &self,
        function: &Function,
        action: &str,
        id: &ResourceId,
        source: impl Fn(&str, u32) -> Option<String>,
    ) -> Result<GrantLine, NoGrant> {
        let mut granted = function.declared_grants();
        let present = granted.find(|grant| grant.what.resource() == Some(id));
        let mut actions = present.map_or(Vec::new(), |grant| grant.what.iam_actions().to_vec());
        if let Some(grant) = present
            && actions.iter().any(|granted| granted == action)
        {
            return Err(NoGrant::GrantedAlready(grant.origin.to_string()));
        }
        actions.push(action.to_owned());
        let declared = self.resources().find(|(known, _)| known == id);
        let name = declared.map_or_else(
            || id.name().to_owned(),
            |(id, origin)| variable(&id, origin, source),
        );
        Ok(GrantLine {
            at: present.map_or_else(|| function.declared_at(), |grant| grant.origin.to_string()),
            replaces: present.is_some(),
            rust: kind::resource::grant(&name, &actions),
            stands_for: None,
        })
    }

    fn id_at(&self, arn: &str) -> Option<ResourceId> {
        let mut parts = arn.splitn(6, ':');
        let service = parts.nth(2)?;
        let name = parts.nth(2)?;
        let stack = self.stack_name();
        let ids = self.resources().map(|(id, _)| id);
        // The last, because parts of a resource come after it.
        ids.filter(|id| kind::of(id).is_some_and(|kind| (kind.is_at)(id, &stack, service, name)))
            .last()
    }
}

/// An IAM action that the vocabulary has a word for.
struct Word {
    kind: &'static Kind,
    grants: &'static Grants,
    action: &'static str,
}

impl Word {
    /// The word for an action on a resource, if that is known; `None` if the action is one of
    /// those that are granted on every resource.
    fn of(action: &str, on: Option<&ResourceId>) -> Result<Option<Self>, NoGrant> {
        let (service, verb) = action.split_once(':').unwrap_or((action, ""));
        let of_service = |kind: &'static Kind| {
            let grants = kind.grants.as_ref()?;
            (grants.service == service).then_some((kind, grants))
        };
        let of_resource = on.and_then(kind::of).and_then(of_service);
        let of_any = || KINDS.iter().copied().find_map(of_service);
        let Some((kind, grants)) = of_resource.or_else(of_any) else {
            return Ok(None);
        };
        let known = grants.actions.iter().find(|known| **known == verb);
        match known {
            Some(action) => Ok(Some(Self {
                kind,
                grants,
                action,
            })),
            None => Err(NoGrant::NoWord(action.to_owned())),
        }
    }

    /// The grant of the action on `variable`, and of what is granted on it already.
    fn grant(&self, variable: &str, granted: &[String]) -> String {
        let granted = granted.iter().filter_map(|action| action.split_once(':'));
        let actions: Vec<&str> = granted
            .map(|(_, action)| action)
            .chain([self.action])
            .collect();
        format!(".grant({})", (self.grants.rust)(variable, &actions))
    }
}

fn unscoped_grant_line(function: &Function, action: &str) -> Result<GrantLine, NoGrant> {
    let mut granted = function.declared_grants();
    let granted = granted.find(|grant| grant.what.reason().is_some_and(|(of, _)| of == action));
    match granted {
        Some(grant) => Err(NoGrant::GrantedAlready(grant.origin.to_string())),
        None => Ok(GrantLine {
            at: function.declared_at(),
            replaces: false,
            rust: format!(r#".grant(Grant::unscoped("{action}", REASON))"#),
            stands_for: Some(
                "REASON says why AWS cannot restrict the action to a resource".to_owned(),
            ),
        }),
    }
}

/// The variable that the declaration keeps a resource in, read from the line that declares it.
fn variable(
    id: &ResourceId,
    origin: Origin,
    source: impl Fn(&str, u32) -> Option<String>,
) -> String {
    let bound = || {
        let (file, line) = origin.of_declaration()?;
        let text = source(file, line)?;
        // A long declaration goes on below its variable.
        let above = || source(file, line.checked_sub(1)?).filter(|text| !text.ends_with(';'));
        bound_variable(&text)
            .map(str::to_owned)
            .or_else(|| bound_variable(&above()?).map(str::to_owned))
    };
    let named = || {
        let name = id.name().replace('-', "_");
        format!("{name}_{}", id.noun().identifier)
    };
    bound().unwrap_or_else(named)
}

/// `photos`, of `let photos = …`.
fn bound_variable(line: &str) -> Option<&str> {
    let (name, _) = line.trim_start().strip_prefix("let ")?.split_once('=')?;
    let name = name.trim();
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::TableAction::{GetItem, PutItem};
    use crate::manifest::Manifest;
    use crate::testing::resolve;

    #[rustfmt::skip]
    fn app() -> App {
        let app = Manifest::new("shop");
        let photos = app.bucket("photos");
        let (orders, _) = (app.table("orders", "id"), app.table("carts", "id"));
        let by_status = orders.index("by-status", "status");
        let films = app.topic("films");
        let service = app.publisher(&films, "rekognition");
        app.function("sell")
            .grant(orders.allow([GetItem, PutItem]))
            .exception(Exception::missing("sts:AssumeRole", "only profiles do"));
        drop((photos, service, by_status));
        resolve(&app, "")
    }

    /// The line of a declaration in [`app`].
    fn source(_: &str, line: u32) -> Option<String> {
        let mut text = include_str!("grants.rs").lines();
        let line = usize::try_from(line).unwrap();
        text.nth(line - 1).map(str::to_owned)
    }

    fn line(action: &str, arn: Option<&str>) -> Result<GrantLine, NoGrant> {
        let app = app();
        app.grant_line(app.functions().next().unwrap(), action, arn, source)
    }

    #[test]
    fn arns_lead_to_declared_resources() {
        let app = app();
        for (arn, expected) in [
            (
                "arn:aws:s3:::shop-dev-photos-123456789012-us-east-1",
                Some("bucket `photos`"),
            ),
            (
                "arn:aws:s3:::shop-dev-photos-123456789012-us-east-1/a:b/c.jpg",
                Some("bucket `photos`"),
            ),
            (
                "arn:aws:s3:::shop-dev-photos-old-123456789012-us-east-1",
                None,
            ),
            (
                "arn:aws:dynamodb:us-east-1:123456789012:table/shop-dev-OrdersTable-1ABC",
                Some("table `orders`"),
            ),
            (
                "arn:aws:dynamodb:us-east-1:123456789012:table/shop-dev-OrdersTable-1ABC/index/by-day",
                Some("table `orders`"),
            ),
            (
                "arn:aws:dynamodb:us-east-1:123456789012:table/shop-dev-OrdersTable-1ABC/index/by-status",
                Some("index `by-status` of table `orders`"),
            ),
            (
                "arn:aws:dynamodb:us-east-1:123456789012:table/shop-dev-OrdersTableau-1ABC",
                None,
            ),
            (
                "arn:aws:sns:us-east-1:123456789012:shop-dev-FilmsTopic-1ABC",
                Some("topic `films`"),
            ),
            (
                "arn:aws:iam::123456789012:role/shop-dev-FilmsPublisherRole-1ABC",
                Some("publisher `films`"),
            ),
            ("*", None),
        ] {
            assert_eq!(app.resource_at(arn).as_deref(), expected, "{arn}");
        }
    }

    #[test]
    fn granted_actions_name_the_line_of_their_grant() {
        let app = app();
        let function = app.functions().next().unwrap();
        let granted = function.granted_actions();
        let [get, put] = granted.as_slice() else {
            panic!("{granted:?}");
        };
        assert_eq!(get.action, "dynamodb:GetItem");
        assert_eq!(put.action, "dynamodb:PutItem");
        assert_eq!(get.resource.as_deref(), Some("table `orders`"));
        let (_, number) = get.declared_at.rsplit_once(':').unwrap();
        let declared = source("", number.parse().unwrap()).unwrap();
        assert!(declared.contains(".grant(orders.allow"), "{declared}");
        let exceptions = function.exceptions();
        assert_eq!(exceptions[0].direction, Direction::Missing);
        assert_eq!(exceptions[0].action, "sts:AssumeRole");
    }

    #[test]
    fn a_grant_on_the_resource_is_extended() {
        let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/shop-dev-OrdersTable-1ABC";
        let line = line("dynamodb:Scan", Some(arn)).unwrap();
        assert!(line.replaces);
        // Two variables in one pattern have no name of their own.
        assert_eq!(
            line.rust,
            ".grant(orders_table.allow([GetItem, PutItem, Scan]))"
        );
    }

    #[test]
    fn a_grant_on_another_resource_is_added() {
        let bucket = "arn:aws:s3:::shop-dev-photos-123456789012-us-east-1/a.jpg";
        for arn in [Some(bucket), None] {
            let line = line("s3:GetObject", arn).unwrap();
            assert!(!line.replaces);
            assert_eq!(line.rust, ".grant(photos.allow([GetObject]))");
        }
        let line = line("iam:PassRole", None).unwrap();
        assert_eq!(line.rust, ".grant(service.pass())");
    }

    #[test]
    fn a_resource_that_is_not_known_is_left_open() {
        let line = line("dynamodb:Query", None).unwrap();
        assert_eq!(line.rust, ".grant(TABLE.allow([Query]))");
        assert_eq!(
            line.stands_for.as_deref(),
            Some("TABLE is one of: orders_table, carts_table")
        );
    }

    #[test]
    fn the_variable_of_a_resource_is_read_from_its_declaration() {
        let shop = Manifest::new("shop");
        shop.table("order-items", "id");
        shop.function("sell");
        let (id, origin) = resolve(&shop, "").resources().next().unwrap();
        for (above, line, expected) in [
            (
                "",
                r#"    let items = app.table("order-items", "id")"#,
                "items",
            ),
            (
                "    let items =",
                r#"        app.table("order-items", "id")"#,
                "items",
            ),
            (
                "    let items = app",
                r#"        .table("order-items", "id")"#,
                "items",
            ),
            (
                "    let other = 1;",
                r#"        app.table("order-items", "id")"#,
                "order_items_table",
            ),
            ("", "    let (a, b) = (", "order_items_table"),
        ] {
            let (_, number) = origin.of_declaration().unwrap();
            let source =
                |_: &str, asked: u32| Some(if asked == number { line } else { above }.to_owned());
            assert_eq!(variable(&id, origin, source), expected, "{line}");
        }
    }

    #[test]
    fn a_grant_on_an_index_is_one_of_its_own() {
        let arn = "arn:aws:dynamodb:us-east-1:123456789012:table/shop-dev-OrdersTable-1ABC/index/by-status";
        let query = line("dynamodb:Query", Some(arn)).unwrap();
        assert!(!query.replaces);
        assert_eq!(query.rust, ".grant(by_status.allow([Query]))");
        assert_eq!(
            line("dynamodb:PutItem", Some(arn)),
            Err(NoGrant::NoWord("dynamodb:PutItem".to_owned()))
        );
    }

    #[test]
    fn what_no_line_grants_is_told() {
        let orders = "arn:aws:dynamodb:us-east-1:123456789012:table/shop-dev-OrdersTable-1ABC";
        assert!(matches!(
            line("dynamodb:GetItem", Some(orders)),
            Err(NoGrant::GrantedAlready(_))
        ));
        let strange = "arn:aws:s3:::another";
        assert_eq!(
            line("s3:GetObject", Some(strange)),
            Err(NoGrant::NotDeclared(strange.to_owned()))
        );
        assert_eq!(
            line("s3:PutObjectAcl", Some(strange)),
            Err(NoGrant::NoWord("s3:PutObjectAcl".to_owned()))
        );
    }

    #[test]
    fn an_action_on_every_resource_has_a_reason() {
        let line = line("rekognition:DetectLabels", Some("*")).unwrap();
        assert_eq!(
            line.rust,
            r#".grant(Grant::unscoped("rekognition:DetectLabels", REASON))"#
        );
        assert!(line.to_string().contains("REASON says why"));
    }
}
