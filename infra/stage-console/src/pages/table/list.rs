//! The items of a table, in pages, by key and by filter.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use maud::{Markup, html};

use super::{CELL, Key, Table};
use crate::fields::Fields;
use crate::item::{self, Item};
use crate::layout::{Page, Section, count, declared_at, pager, problem, short};
use crate::pages::Visit;
use crate::problem::{Problem, Result};

/// Items on a page.
const PAGE: usize = 25;
/// So much of a table is read for a page at most: a filter may match nothing.
const CALLS_MAX: usize = 20;
/// Columns beside the key.
const COLUMNS_MAX: usize = 6;

/// What a filter can ask.
const TESTS: [(&str, &str); 9] = [
    ("=", "is"),
    ("<>", "is not"),
    ("contains", "contains"),
    ("begins_with", "begins with"),
    ("<", "is less than"),
    (">", "is greater than"),
    ("attribute_exists", "is there"),
    ("attribute_not_exists", "is missing"),
    ("attribute_type", "has the type"),
];

/// Which items a page shows.
struct Wish<'a> {
    partition: &'a str,
    sort: &'a str,
    attribute: &'a str,
    test: &'a str,
    value: &'a str,
    from: &'a str,
}

impl<'a> Wish<'a> {
    fn of(query: &'a Fields) -> Self {
        let test = query.text("test");
        let known = TESTS.iter().find(|(name, _)| *name == test);
        Self {
            partition: query.text("partition"),
            sort: query.text("sort"),
            attribute: query.text("attribute"),
            test: known.map_or("=", |(name, _)| name),
            value: query.text("value"),
            from: query.text("from"),
        }
    }

    fn fields(&self) -> [(&'static str, &'a str); 5] {
        let test = if self.attribute.is_empty() {
            ""
        } else {
            self.test
        };
        [
            ("partition", self.partition),
            ("sort", self.sort),
            ("attribute", self.attribute),
            ("test", test),
            ("value", self.value),
        ]
    }

    fn is_any(&self) -> bool {
        !self.partition.is_empty() || !self.attribute.is_empty()
    }

    /// The filter, in DynamoDB's words, with the names and values that it refers to.
    fn filter(&self) -> Option<(String, Vec<(String, AttributeValue)>)> {
        if self.attribute.is_empty() {
            return None;
        }
        // A text matches a number as well: who types 1 may mean either.
        let text = AttributeValue::S(self.value.to_owned());
        let typed = match self.value {
            "true" => Some(AttributeValue::Bool(true)),
            "false" => Some(AttributeValue::Bool(false)),
            "null" => Some(AttributeValue::Null(true)),
            value => value
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map(|_| AttributeValue::N(value.to_owned())),
        };
        let values = |typed: Option<AttributeValue>| {
            let typed = typed.map(|typed| (":typed".to_owned(), typed));
            std::iter::once((":text".to_owned(), text.clone()))
                .chain(typed)
                .collect()
        };
        Some(match self.test {
            "attribute_exists" | "attribute_not_exists" => {
                (format!("{}(#attribute)", self.test), Vec::new())
            }
            "begins_with" | "attribute_type" => {
                (format!("{}(#attribute, :text)", self.test), values(None))
            }
            "contains" => match typed {
                None => ("contains(#attribute, :text)".to_owned(), values(None)),
                some => (
                    "(contains(#attribute, :text) OR contains(#attribute, :typed))".to_owned(),
                    values(some),
                ),
            },
            test => {
                let joined = if test == "<>" { "AND" } else { "OR" };
                match typed {
                    None => (format!("#attribute {test} :text"), values(None)),
                    some => (
                        format!("(#attribute {test} :text {joined} #attribute {test} :typed)"),
                        values(some),
                    ),
                }
            }
        })
    }
}

/// A page of items, and the key that the next one begins behind.
struct Found {
    items: Vec<Item>,
    next: Option<String>,
    /// Whether the table was read only in part, although the page is not full.
    is_cut: bool,
}

async fn find(visit: &Visit, table: &Table, wish: &Wish<'_>) -> Result<Found> {
    let mut start = match wish.from {
        "" => None,
        from => Some(table.read_key(from)?),
    };
    let mut items = Vec::new();
    for _ in 0..CALLS_MAX {
        let limit = if wish.attribute.is_empty() {
            i32::try_from(PAGE).unwrap_or(i32::MAX)
        } else {
            1_000
        };
        let (page, last) = if wish.partition.is_empty() {
            scan(visit, table, wish, start.take(), limit).await?
        } else {
            query(visit, table, wish, start.take(), limit).await?
        };
        items.extend(page);
        start = last;
        if items.len() > PAGE {
            // The next page begins behind the last item that this one shows.
            items.truncate(PAGE);
            let next = items.last().map(|item| table.key_of(item));
            return Ok(Found {
                items,
                next,
                is_cut: false,
            });
        }
        if start.is_none() || items.len() == PAGE {
            let next = start.map(|key| item::typed(&key).to_string());
            return Ok(Found {
                items,
                next,
                is_cut: false,
            });
        }
    }
    let next = start.map(|key| item::typed(&key).to_string());
    Ok(Found {
        items,
        next,
        is_cut: true,
    })
}

type Rows = (Vec<Item>, Option<Item>);

async fn scan(
    visit: &Visit,
    table: &Table,
    wish: &Wish<'_>,
    start: Option<Item>,
    limit: i32,
) -> Result<Rows> {
    let mut scan = visit
        .stage
        .dynamodb
        .scan()
        .table_name(&table.physical)
        .limit(limit)
        .set_exclusive_start_key(start);
    if let Some((filter, values)) = wish.filter() {
        scan = scan
            .filter_expression(filter)
            .expression_attribute_names("#attribute", wish.attribute);
        for (name, value) in values {
            scan = scan.expression_attribute_values(name, value);
        }
    }
    let what = format!("scan table {}", table.name);
    let answer = scan
        .send()
        .await
        .map_err(|error| Problem::of_aws(&what, &error))?;
    Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
}

async fn query(
    visit: &Visit,
    table: &Table,
    wish: &Wish<'_>,
    start: Option<Item>,
    limit: i32,
) -> Result<Rows> {
    let value = |text: &str, key: &Key| item::key_value(text, &key.kind).map_err(Problem::mistake);
    let mut condition = "#partition = :partition".to_owned();
    let mut query: QueryFluentBuilder = visit
        .stage
        .dynamodb
        .query()
        .table_name(&table.physical)
        .limit(limit)
        .set_exclusive_start_key(start)
        .expression_attribute_names("#partition", &table.partition.name)
        .expression_attribute_values(":partition", value(wish.partition, &table.partition)?);
    if let (false, Some(sort)) = (wish.sort.is_empty(), &table.sort) {
        // Only texts and bytes begin with something.
        condition += match sort.kind.as_str() {
            "N" => " AND #sort = :sort",
            _ => " AND begins_with(#sort, :sort)",
        };
        query = query
            .expression_attribute_names("#sort", &sort.name)
            .expression_attribute_values(":sort", value(wish.sort, sort)?);
    }
    if let Some((filter, values)) = wish.filter() {
        query = query
            .filter_expression(filter)
            .expression_attribute_names("#attribute", wish.attribute);
        for (name, value) in values {
            query = query.expression_attribute_values(name, value);
        }
    }
    let what = format!("query table {}", table.name);
    let query = query.key_condition_expression(condition);
    let answer = query
        .send()
        .await
        .map_err(|error| Problem::of_aws(&what, &error))?;
    Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
}

/// The table's items.
pub(in crate::pages) async fn show(visit: &Visit, name: &str) -> Result<Page> {
    let table = Table::of(visit, name).await?;
    let wish = Wish::of(&visit.query);
    let list = match find(visit, &table, &wish).await {
        Ok(found) => items(&table, &wish, &found),
        Err(found) => problem(&found),
    };
    let body = html! {
        p.facts {
            code { (table.physical) }
            @if table.has_stream { span.tag { "stream" } }
            (declared_at(table.declared_at.as_deref()))
        }
        div.tools {
            a.button.main href=(table.path("/new")) { "Create item" }
            details open[wish.is_any()] {
                summary { "Find items" }
                (search(&table, &wish))
            }
        }
        section #items data-live aria-label="Items" { (list) }
    };
    Ok(Page::new(Section::Data, format!("Table {name}"), body)
        .below("Data", "/data")
        .wide())
}

fn search(table: &Table, wish: &Wish<'_>) -> Markup {
    html! {
        form.search method="get" action=(table.path("")) {
            fieldset {
                legend { "By key" }
                label { (table.partition.name) input name="partition" value=(wish.partition) placeholder="any"; }
                @if let Some(sort) = &table.sort {
                    label {
                        (sort.name) @if sort.kind != "N" { " begins with" }
                        input name="sort" value=(wish.sort) placeholder="any";
                    }
                }
            }
            fieldset {
                legend { "By filter" }
                label { "Attribute" input name="attribute" value=(wish.attribute) placeholder="none"; }
                label {
                    "Test"
                    select name="test" {
                        @for (value, text) in TESTS {
                            option value=(value) selected[value == wish.test] { (text) }
                        }
                    }
                }
                label { "Value" input name="value" value=(wish.value); }
            }
            button type="submit" { "Find" }
            @if wish.is_any() { a href=(table.path("")) { "Show all" } }
        }
    }
}

fn items(table: &Table, wish: &Wish<'_>, found: &Found) -> Markup {
    let columns = columns(table, &found.items);
    let total = table.items.filter(|_| !wish.is_any());
    html! {
        @if found.items.is_empty() {
            p.empty {
                @if wish.is_any() { "No item matches." } @else { "The table is empty." }
            }
        } @else {
            div.scroll {
                table {
                    thead {
                        tr {
                            @for (index, column) in columns.iter().enumerate() {
                                th scope="col" {
                                    (short(column, CELL))
                                    @if index < table.keys().count() { span.tag { "key" } }
                                }
                            }
                        }
                    }
                    tbody {
                        @for item in &found.items {
                            tr {
                                @for (index, column) in columns.iter().enumerate() {
                                    @if index == 0 {
                                        th scope="row" { a href=(table.item_link(item)) { (cell(item.get(column))) } }
                                    } @else {
                                        td { (cell(item.get(column))) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            p.dim {
                (count(u64::try_from(found.items.len()).unwrap_or_default(), "item"))
                @if let Some(total) = total { " of " (total) }
            }
        }
        @if found.is_cut {
            p.dim { "The table has more items, which have not been read yet." }
        }
        (pager(&table.path(""), &wish.fields(), wish.from.is_empty(), found.next.as_deref()))
    }
}

/// The key's attributes, then those that most items have.
fn columns(table: &Table, items: &[Item]) -> Vec<String> {
    let keys: BTreeSet<&str> = table.keys().map(|key| key.name.as_str()).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in items.iter().flat_map(HashMap::keys) {
        if !keys.contains(name.as_str()) {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut others: Vec<_> = counts.into_iter().collect();
    others.sort_by_key(|(name, count)| (usize::MAX - count, *name));
    let others = others.into_iter().take(COLUMNS_MAX).map(|(name, _)| name);
    table
        .keys()
        .map(|key| key.name.as_str())
        .chain(others)
        .map(str::to_owned)
        .collect()
}

fn cell(value: Option<&AttributeValue>) -> Markup {
    let Some(value) = value else {
        return html! { span.none title="missing" { "–" } };
    };
    let text = short(&item::cell(value), CELL);
    match value {
        AttributeValue::N(_) => html! { span.n { (text) } },
        AttributeValue::Bool(_) | AttributeValue::Null(_) => html! { span.k { (text) } },
        AttributeValue::S(_) => html! { (text) },
        _ => html! { code { (text) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Form;

    fn wish<'a>(attribute: &'a str, test: &'a str, value: &'a str) -> Wish<'a> {
        Wish {
            partition: "",
            sort: "",
            attribute,
            test,
            value,
            from: "",
        }
    }

    #[test]
    fn a_filter_means_text_and_number() {
        let (filter, values) = wish("a", "=", "1").filter().unwrap();
        assert_eq!(filter, "(#attribute = :text OR #attribute = :typed)");
        assert_eq!(
            values[1],
            (":typed".to_owned(), AttributeValue::N("1".to_owned()))
        );
        let (filter, values) = wish("a", "<>", "x").filter().unwrap();
        assert_eq!((filter.as_str(), values.len()), ("#attribute <> :text", 1));
        let (filter, _) = wish("a", "<>", "true").filter().unwrap();
        assert_eq!(filter, "(#attribute <> :text AND #attribute <> :typed)");
        let (filter, values) = wish("a", "attribute_exists", "x").filter().unwrap();
        assert_eq!(
            (filter.as_str(), values.len()),
            ("attribute_exists(#attribute)", 0)
        );
        assert_eq!(wish("", "=", "1").filter(), None);
    }

    #[test]
    fn a_test_that_is_not_known_is_not_asked() {
        let query = Fields::parse("attribute=a&test=%3D%20:x%20OR%20size&value=1");
        assert_eq!(Wish::of(&query).test, "=");
    }

    #[test]
    fn columns_are_the_key_and_what_is_frequent() {
        let key = |name: &str| Key {
            name: name.to_owned(),
            kind: "S".to_owned(),
        };
        let table = Table {
            name: String::new(),
            physical: String::new(),
            declared_at: None,
            partition: key("id"),
            sort: Some(key("at")),
            items: None,
            has_stream: false,
        };
        let items: Vec<Item> = [
            r#"{"id":"1","rare":1,"b":1}"#,
            r#"{"at":"2","b":1,"a":1}"#,
            r#"{"a":1}"#,
        ]
        .iter()
        .map(|text| item::read(text, Some(Form::Plain)).unwrap())
        .collect();
        assert_eq!(columns(&table, &items), ["id", "at", "a", "b", "rare"]);
    }
}
