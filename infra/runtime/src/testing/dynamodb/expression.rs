//! Condition, filter, key condition and update expressions.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

/// An item: attributes by name, each as DynamoDB writes it in JSON.
pub(super) type Item = Map<String, Value>;

/// What must hold of an item.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Or(Box<Condition>, Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Exists(String),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
    Compare(Operand, String, Operand),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Attribute(String),
    Value(Value),
}

/// What becomes of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    Set(String, Operand),
    Add(String, Operand),
}

impl Operand {
    fn of<'a>(&'a self, item: &'a Item) -> Option<&'a Value> {
        match self {
            Self::Attribute(name) => item.get(name),
            Self::Value(value) => Some(value),
        }
    }
}

impl Condition {
    /// Whether the condition holds.
    pub(super) fn holds(&self, item: &Item) -> bool {
        match self {
            Self::Or(a, b) => a.holds(item) || b.holds(item),
            Self::And(a, b) => a.holds(item) && b.holds(item),
            Self::Not(condition) => !condition.holds(item),
            Self::Exists(name) => item.contains_key(name),
            Self::BeginsWith(text, prefix) => match (string(text, item), string(prefix, item)) {
                (Some(text), Some(prefix)) => text.starts_with(prefix),
                _ => false,
            },
            Self::Contains(whole, part) => contains(whole.of(item), part.of(item)),
            Self::Compare(a, operator, b) => {
                let (Some(a), Some(b)) = (a.of(item), b.of(item)) else {
                    return false;
                };
                let order = compare(a, b);
                match operator.as_str() {
                    "=" => a == b || order == Some(Ordering::Equal),
                    "<>" => a != b && order != Some(Ordering::Equal),
                    "<" => order == Some(Ordering::Less),
                    ">" => order == Some(Ordering::Greater),
                    "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
        }
    }
}

fn string<'a>(operand: &'a Operand, item: &'a Item) -> Option<&'a str> {
    operand.of(item)?["S"].as_str()
}

fn contains(whole: Option<&Value>, part: Option<&Value>) -> bool {
    let (Some(whole), Some(part)) = (whole, part) else {
        return false;
    };
    match (&whole["S"], &whole["L"]) {
        (Value::String(text), _) => part["S"].as_str().is_some_and(|part| text.contains(part)),
        (_, Value::Array(list)) => list.contains(part),
        _ => false,
    }
}

/// The order of two strings, by their bytes, or of two numbers.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a["S"].as_str(), b["S"].as_str()) {
        (Some(a), Some(b)) => Some(a.cmp(b)),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}

pub(super) fn number(value: &Value) -> Option<f64> {
    value["N"].as_str()?.parse().ok()
}

/// Reads an expression of a request, whose names and values are beside it.
pub(super) struct Parser<'a> {
    request: &'a Value,
    tokens: Vec<String>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn new(request: &'a Value, expression: &str) -> Self {
        let mut tokens: Vec<String> = Vec::new();
        let is_word = |character: char| character.is_alphanumeric() || "#:_.-".contains(character);
        for character in expression.chars() {
            let last = tokens.last_mut().filter(|last| !last.is_empty());
            match last {
                _ if character.is_whitespace() => tokens.push(String::new()),
                Some(last) if is_word(character) && last.chars().all(is_word) => {
                    last.push(character);
                }
                Some(last) if "=>".contains(character) && (last == "<" || last == ">") => {
                    last.push(character);
                }
                _ => tokens.push(character.into()),
            }
        }
        tokens.retain(|token| !token.is_empty());
        let at = 0;
        Self {
            request,
            tokens,
            at,
        }
    }

    /// The condition under this name in the request, if there is one.
    pub(super) fn condition(request: &'a Value, name: &str) -> Option<Condition> {
        let mut parser = Self::new(request, request[name].as_str()?);
        let condition = parser.alternatives();
        assert_eq!(
            parser.at,
            parser.tokens.len(),
            "unread: {:?}",
            parser.tokens
        );
        Some(condition)
    }

    /// What the request's update expression does.
    pub(super) fn update(request: &'a Value) -> Vec<Action> {
        let mut parser = Self::new(request, request["UpdateExpression"].as_str().unwrap());
        let mut actions = Vec::new();
        let mut verb = String::new();
        while parser.at < parser.tokens.len() {
            if ["SET", "ADD"].contains(&parser.peek()) {
                verb = parser.next();
            }
            let name = parser.name();
            if verb == "SET" {
                parser.take("=");
                actions.push(Action::Set(name, parser.operand()));
            } else {
                actions.push(Action::Add(name, parser.operand()));
            }
            if parser.peek() == "," {
                parser.take(",");
            }
        }
        actions
    }

    fn alternatives(&mut self) -> Condition {
        let mut condition = self.all();
        while self.peek() == "OR" {
            self.take("OR");
            condition = Condition::Or(Box::new(condition), Box::new(self.all()));
        }
        condition
    }

    fn all(&mut self) -> Condition {
        let mut condition = self.one();
        while self.peek() == "AND" {
            self.take("AND");
            condition = Condition::And(Box::new(condition), Box::new(self.one()));
        }
        condition
    }

    fn one(&mut self) -> Condition {
        match self.peek() {
            "(" => {
                self.take("(");
                let condition = self.alternatives();
                self.take(")");
                condition
            }
            "NOT" => {
                self.take("NOT");
                Condition::Not(Box::new(self.one()))
            }
            "attribute_exists" => self.exists(),
            "attribute_not_exists" => Condition::Not(Box::new(self.exists())),
            "begins_with" => {
                let (text, prefix) = self.two();
                Condition::BeginsWith(text, prefix)
            }
            "contains" => {
                let (whole, part) = self.two();
                Condition::Contains(whole, part)
            }
            _ => {
                let a = self.operand();
                let operator = self.next();
                Condition::Compare(a, operator, self.operand())
            }
        }
    }

    fn exists(&mut self) -> Condition {
        self.next();
        self.take("(");
        let name = self.name();
        self.take(")");
        Condition::Exists(name)
    }

    fn two(&mut self) -> (Operand, Operand) {
        self.next();
        self.take("(");
        let first = self.operand();
        self.take(",");
        let second = self.operand();
        self.take(")");
        (first, second)
    }

    fn operand(&mut self) -> Operand {
        if self.peek().starts_with(':') {
            let token = self.next();
            let value = &self.request["ExpressionAttributeValues"][&token];
            assert!(!value.is_null(), "the request has no value {token}");
            Operand::Value(value.clone())
        } else {
            Operand::Attribute(self.name())
        }
    }

    fn name(&mut self) -> String {
        let token = self.next();
        if !token.starts_with('#') {
            return token;
        }
        let name = &self.request["ExpressionAttributeNames"][&token];
        name.as_str()
            .map_or_else(|| panic!("the request has no name {token}"), String::from)
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn next(&mut self) -> String {
        self.at += 1;
        self.tokens[self.at - 1].clone()
    }

    fn take(&mut self, token: &str) {
        assert_eq!(self.next(), token, "in {:?}", self.tokens);
    }
}

/// An item after an update.
pub(super) fn updated(mut item: Item, actions: &[Action]) -> Item {
    for action in actions {
        match action {
            Action::Set(name, operand) => {
                let value = operand.of(&item).cloned();
                item.insert(name.clone(), value.unwrap());
            }
            Action::Add(name, operand) => {
                let had = item.get(name).and_then(number).unwrap_or_default();
                let adds = operand.of(&item).and_then(number).unwrap();
                item.insert(name.clone(), json!({"N": (had + adds).to_string()}));
            }
        }
    }
    item
}
