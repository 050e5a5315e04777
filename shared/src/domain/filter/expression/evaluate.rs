//! Evaluating an expression: what has no meaning ends in `None`, and so does what takes too many steps.
//!
//! As in CEL, `false && x` is false and `true || x` is true even if `x` has no meaning. Numbers of JSON
//! are integers where they are written as such; an integer beside a double counts as a double.

use serde_json::Value;

use super::{Comparison, Node, Operator, TextTest};
use crate::domain::filter::scalar::Scalar;

/// Most steps of one evaluation: a part of the expression, an item that is looked at, 64 bytes of text.
/// So it lasts some ten microseconds at most.
const MAX_STEPS: usize = 10_000;
const BYTES_PER_STEP: usize = 64;

pub(super) fn evaluate(node: &Node, payload: &Value) -> (Option<bool>, usize) {
    let mut evaluation = Evaluation { payload, steps: 0 };
    let result = evaluation.truth(node);
    (result, evaluation.steps.min(MAX_STEPS))
}

#[derive(Clone, Copy)]
enum Term<'e> {
    Scalar(Scalar<'e>),
    /// An array or object of the payload.
    Json(&'e Value),
    List(&'e [Node]),
}

impl<'e> Term<'e> {
    fn of(value: &'e Value) -> Self {
        Scalar::of(value).map_or(Self::Json(value), Self::Scalar)
    }
}

struct Evaluation<'e> {
    payload: &'e Value,
    steps: usize,
}

impl<'e> Evaluation<'e> {
    fn spend(&mut self, steps: usize) -> Option<()> {
        self.steps = self.steps.checked_add(steps)?;
        (self.steps <= MAX_STEPS).then_some(())
    }

    fn truth(&mut self, node: &'e Node) -> Option<bool> {
        match self.scalar(node)? {
            Scalar::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    fn scalar(&mut self, node: &'e Node) -> Option<Scalar<'e>> {
        match self.term(node)? {
            Term::Scalar(scalar) => Some(scalar),
            Term::Json(_) | Term::List(_) => None,
        }
    }

    fn term(&mut self, node: &'e Node) -> Option<Term<'e>> {
        self.spend(1)?;
        let truth = |truth| Some(Term::Scalar(Scalar::Bool(truth)));
        match node {
            Node::Literal(value) => Some(Term::of(value)),
            Node::List(nodes) => Some(Term::List(nodes)),
            Node::Payload => Some(Term::of(self.payload)),
            Node::Field(of, field) => match self.term(of)? {
                Term::Json(value) => value.get(field.as_ref()).map(Term::of),
                Term::Scalar(_) | Term::List(_) => None,
            },
            Node::Has(of, field) => match self.term(of)? {
                Term::Json(Value::Object(fields)) => truth(fields.contains_key(field.as_ref())),
                Term::Json(_) | Term::Scalar(_) | Term::List(_) => None,
            },
            Node::Index(of, index) => self.index(of, index),
            Node::Not(one) => self.truth(one).and_then(|one| truth(!one)),
            Node::And(two) => self.decides(two, false).and_then(truth),
            Node::Or(two) => self.decides(two, true).and_then(truth),
            Node::Conditional(three) => {
                let [condition, yes, no] = three.as_ref();
                if self.truth(condition)? { self.term(yes) } else { self.term(no) }
            }
            Node::Compare(comparison, two) => self.compare(*comparison, two).and_then(truth),
            Node::In(two) => self.is_in(two).and_then(truth),
            Node::Negate(one) => {
                let zero = Scalar::Integer(0);
                let one = self.scalar(one)?;
                arithmetic(Operator::Subtract, zero, one).map(Term::Scalar)
            }
            Node::Arithmetic(operator, two) => {
                let (one, other) = (self.scalar(&two[0])?, self.scalar(&two[1])?);
                arithmetic(*operator, one, other).map(Term::Scalar)
            }
            Node::Size(one) => self.size(one).map(Term::Scalar),
            Node::Text(test, two) => self.text(*test, two).and_then(truth),
        }
    }

    /// `&&` and `||`: if one of both is what decides, the other one need not have a meaning.
    fn decides(&mut self, two: &'e [Node; 2], decisive: bool) -> Option<bool> {
        let one = self.truth(&two[0]);
        if one == Some(decisive) {
            return one;
        }
        match (one, self.truth(&two[1])) {
            (_, Some(other)) if other == decisive => Some(decisive),
            (Some(_), Some(_)) => Some(!decisive),
            _ => None,
        }
    }

    fn index(&mut self, of: &'e Node, index: &'e Node) -> Option<Term<'e>> {
        match (self.term(of)?, self.scalar(index)?) {
            (Term::Json(Value::Object(fields)), Scalar::Text(name)) => {
                fields.get(name).map(Term::of)
            }
            (Term::Json(Value::Array(items)), Scalar::Integer(place)) => {
                items.get(usize::try_from(place).ok()?).map(Term::of)
            }
            (Term::List(nodes), Scalar::Integer(place)) => {
                self.term(nodes.get(usize::try_from(place).ok()?)?)
            }
            _ => None,
        }
    }

    fn compare(&mut self, comparison: Comparison, two: &'e [Node; 2]) -> Option<bool> {
        let (one, other) = match (self.term(&two[0])?, self.term(&two[1])?) {
            (Term::Scalar(one), Term::Scalar(other)) => (one, other),
            // What has no scalar's meaning differs from all scalars.
            (Term::Scalar(_), _) | (_, Term::Scalar(_)) => {
                return match comparison {
                    Comparison::Equal => Some(false),
                    Comparison::NotEqual => Some(true),
                    _ => None,
                };
            }
            _ => return None,
        };
        if let (Scalar::Text(one), Scalar::Text(other)) = (one, other) {
            self.spend(one.len().min(other.len()) / BYTES_PER_STEP)?;
        }
        match comparison {
            Comparison::Equal => Some(one.equals(other)),
            Comparison::NotEqual => Some(!one.equals(other)),
            Comparison::Below => one.compare(other).map(|order| order.is_lt()),
            Comparison::AtMost => one.compare(other).map(|order| order.is_le()),
            Comparison::Above => one.compare(other).map(|order| order.is_gt()),
            Comparison::AtLeast => one.compare(other).map(|order| order.is_ge()),
        }
    }

    fn is_in(&mut self, two: &'e [Node; 2]) -> Option<bool> {
        let wanted = self.scalar(&two[0])?;
        match self.term(&two[1])? {
            Term::Json(Value::Object(fields)) => match wanted {
                Scalar::Text(name) => Some(fields.contains_key(name)),
                _ => None,
            },
            Term::Json(Value::Array(items)) => {
                self.spend(items.len())?;
                for item in items.iter().filter_map(Scalar::of) {
                    if self.is_same(wanted, item)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Term::List(nodes) => {
                for node in nodes {
                    let item = self.scalar(node)?;
                    if self.is_same(wanted, item)? {
                        return Some(true);
                    }
                }
                Some(false)
            }
            Term::Json(_) | Term::Scalar(_) => None,
        }
    }

    fn is_same(&mut self, one: Scalar<'_>, other: Scalar<'_>) -> Option<bool> {
        if let (Scalar::Text(one), Scalar::Text(other)) = (one, other) {
            self.spend(one.len().min(other.len()) / BYTES_PER_STEP)?;
        }
        Some(one.equals(other))
    }

    fn size(&mut self, one: &'e Node) -> Option<Scalar<'e>> {
        let size = match self.term(one)? {
            Term::Scalar(Scalar::Text(text)) => {
                self.spend(text.len() / BYTES_PER_STEP)?;
                text.chars().count()
            }
            Term::Json(Value::Array(items)) => items.len(),
            Term::Json(Value::Object(fields)) => fields.len(),
            Term::List(nodes) => nodes.len(),
            Term::Json(_) | Term::Scalar(_) => return None,
        };
        Some(Scalar::Integer(size as i128))
    }

    fn text(&mut self, test: TextTest, two: &'e [Node; 2]) -> Option<bool> {
        let (Scalar::Text(text), Scalar::Text(part)) =
            (self.scalar(&two[0])?, self.scalar(&two[1])?)
        else {
            return None;
        };
        match test {
            TextTest::StartsWith => Some(text.starts_with(part)),
            TextTest::EndsWith => Some(text.ends_with(part)),
            TextTest::Contains => {
                // Looking for a text takes a time that grows with both lengths together.
                self.spend((text.len() + part.len()) / BYTES_PER_STEP)?;
                Some(text.contains(part))
            }
        }
    }
}

/// Numbers only; integers stay within 64 bits.
fn arithmetic<'e>(operator: Operator, one: Scalar<'e>, other: Scalar<'e>) -> Option<Scalar<'e>> {
    if let (Scalar::Integer(one), Scalar::Integer(other)) = (one, other) {
        let result = match operator {
            Operator::Add => one.checked_add(other),
            Operator::Subtract => one.checked_sub(other),
            Operator::Multiply => one.checked_mul(other),
            Operator::Divide => one.checked_div(other),
            Operator::Modulo => one.checked_rem(other),
        }?;
        let fits = i64::try_from(result).is_ok() || u64::try_from(result).is_ok();
        return fits.then_some(Scalar::Integer(result));
    }
    let (one, other) = (one.number()?, other.number()?);
    Some(Scalar::Double(match operator {
        Operator::Add => one + other,
        Operator::Subtract => one - other,
        Operator::Multiply => one * other,
        Operator::Divide => one / other,
        Operator::Modulo => return None,
    }))
}
