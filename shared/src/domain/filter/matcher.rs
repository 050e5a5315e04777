//! The typed form of a filter: conditions on places of the payload, and `all`, `any` and `not` of them.

use std::{cmp::Ordering, collections::HashSet};

use serde_json::{Map, Value};

use super::{
    Reader,
    pointer::{MAX_POINTER, Pointer},
    scalar::Scalar,
};

/// How deeply `all`, `any` and `not` may be nested.
const MAX_DEPTH: usize = 8;
/// How many conditions one filter may have.
const MAX_CONDITIONS: usize = 64;
/// How many values `in` may list.
const MAX_VALUES: usize = 256;
const TESTS: &str = "equals, in, prefix, exists, gt, gte, lt, lte";

/// What a payload must be like.
#[derive(Debug, Clone)]
pub(super) enum Matcher {
    All(Vec<Matcher>),
    Any(Vec<Matcher>),
    Not(Box<Matcher>),
    /// All of these at one place.
    At(Pointer, Vec<Test>),
}

/// What must hold of one place.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// Something stands there, if only null; or nothing does.
    Exists(bool),
    Equals(Value),
    In {
        texts: HashSet<Box<str>>,
        others: Vec<Value>,
    },
    Prefix(String),
    /// A number there compares so with this one.
    Number(Order, Value),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Matcher {
    /// Whether the payload is like this.
    pub(super) fn matches(&self, payload: &Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|one| one.matches(payload)),
            Self::Any(any) => any.iter().any(|one| one.matches(payload)),
            Self::Not(one) => !one.matches(payload),
            Self::At(pointer, tests) => {
                let found = pointer.get(payload);
                tests.iter().all(|test| test.holds(found))
            }
        }
    }
}

impl Test {
    fn holds(&self, found: Option<&Value>) -> bool {
        let scalar = found.and_then(Scalar::of);
        match self {
            Self::Exists(wanted) => found.is_some() == *wanted,
            Self::Equals(value) => equals(scalar, value),
            Self::In { texts, others } => match scalar {
                Some(Scalar::Text(text)) => texts.contains(text),
                scalar => others.iter().any(|value| equals(scalar, value)),
            },
            Self::Prefix(prefix) => {
                matches!(scalar, Some(Scalar::Text(text)) if text.starts_with(prefix))
            }
            Self::Number(order, bound) => {
                let number = scalar.filter(|scalar| scalar.number().is_some());
                let compared = number.zip(Scalar::of(bound)).and_then(|(one, b)| one.compare(b));
                compared.is_some_and(|compared| order.allows(compared))
            }
        }
    }
}

impl Order {
    fn allows(self, compared: Ordering) -> bool {
        match self {
            Self::Below => compared.is_lt(),
            Self::AtMost => compared.is_le(),
            Self::Above => compared.is_gt(),
            Self::AtLeast => compared.is_ge(),
        }
    }
}

fn equals(scalar: Option<Scalar<'_>>, value: &Value) -> bool {
    scalar.zip(Scalar::of(value)).is_some_and(|(one, other)| one.equals(other))
}

impl Reader {
    /// The matcher that stands here, `depth` levels down; `None` if something is wrong with it.
    pub(super) fn matcher(&mut self, value: &Value, depth: usize) -> Option<Matcher> {
        let Some(fields) = value.as_object() else {
            return self.fault("expected an object");
        };
        if depth > MAX_DEPTH {
            return self.fault(format!("nested deeper than {MAX_DEPTH}"));
        }
        let mut names = fields.iter();
        match (names.next(), names.next()) {
            (Some((name, list)), None) if name == "all" => {
                self.within(name, |me| me.matchers(list, depth + 1)).map(Matcher::All)
            }
            (Some((name, list)), None) if name == "any" => {
                self.within(name, |me| me.matchers(list, depth + 1)).map(Matcher::Any)
            }
            (Some((name, one)), None) if name == "not" => {
                let one = self.within(name, |me| me.matcher(one, depth + 1));
                one.map(|one| Matcher::Not(Box::new(one)))
            }
            _ => self.condition(fields),
        }
    }

    fn matchers(&mut self, value: &Value, depth: usize) -> Option<Vec<Matcher>> {
        let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
            return self.fault("expected an array with at least one filter");
        };
        let read = items
            .iter()
            .enumerate()
            .map(|(place, item)| self.within(&place.to_string(), |me| me.matcher(item, depth)));
        // All are read before one is missed, so that all faults are told.
        read.collect::<Vec<_>>().into_iter().collect()
    }

    fn condition(&mut self, fields: &Map<String, Value>) -> Option<Matcher> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return self.fault(format!("more than {MAX_CONDITIONS} conditions"));
        }
        let Some(pointer) = fields.get("pointer") else {
            return self.fault(
                "expected a condition such as {\"pointer\": \"/customer/id\", \"equals\": 7}, or one of \
                 all, any, not, cel",
            );
        };
        let pointer = self.within("pointer", |me| {
            let pointer = pointer.as_str().and_then(Pointer::parse);
            pointer.or_else(|| {
                me.fault(format!(
                    "expected a JSON pointer of at most {MAX_POINTER} bytes, such as /customer/id"
                ))
            })
        });
        let tests = fields.iter().filter(|(name, _)| *name != "pointer");
        let tests = tests.map(|(name, value)| self.within(name, |me| me.test(name, value)));
        let tests: Vec<_> = tests.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
        if tests.is_empty() {
            return self.fault(format!("a pointer needs one of: {TESTS}"));
        }
        Some(Matcher::At(pointer?, tests))
    }

    fn test(&mut self, name: &str, value: &Value) -> Option<Test> {
        let number = |order| value.is_number().then(|| Test::Number(order, value.clone()));
        let (test, expected) = match name {
            "exists" => (value.as_bool().map(Test::Exists), "true or false"),
            "equals" => {
                let scalar = Scalar::of(value).map(|_| Test::Equals(value.clone()));
                (scalar, "a string, number, boolean or null")
            }
            "in" => (is_in(value), "an array of 1 to 256 strings, numbers, booleans or nulls"),
            "prefix" => (value.as_str().map(|text| Test::Prefix(text.to_owned())), "a string"),
            "lt" => (number(Order::Below), "a number"),
            "lte" => (number(Order::AtMost), "a number"),
            "gt" => (number(Order::Above), "a number"),
            "gte" => (number(Order::AtLeast), "a number"),
            _ => return self.fault(format!("unknown; a pointer may have: {TESTS}")),
        };
        test.or_else(|| self.fault(format!("expected {expected}")))
    }
}

fn is_in(value: &Value) -> Option<Test> {
    let values = value.as_array().filter(|values| (1..=MAX_VALUES).contains(&values.len()))?;
    let (mut texts, mut others) = (HashSet::new(), Vec::new());
    for value in values {
        match Scalar::of(value)? {
            Scalar::Text(text) => _ = texts.insert(text.into()),
            _ => others.push(value.clone()),
        }
    }
    Some(Test::In { texts, others })
}
