//! The advanced form of a filter: an expression of the Common Expression Language.
//!
//! The `cel` crate parses it. What it says is checked and evaluated here, in a subset whose cost is
//! bounded: no loops, nothing that allocates, and a number of steps that no payload can make grow.

mod compile;
mod evaluate;

use serde_json::Value;

/// A compiled expression; what is true of a payload.
#[derive(Debug, Clone)]
pub(super) struct Expression(Node);

#[derive(Debug, Clone)]
enum Node {
    /// A string, number, boolean or null.
    Literal(Value),
    List(Vec<Node>),
    Payload,
    Field(Box<Node>, Box<str>),
    /// `has(a.b)`.
    Has(Box<Node>, Box<str>),
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Conditional(Box<[Node; 3]>),
    Compare(Comparison, Box<[Node; 2]>),
    In(Box<[Node; 2]>),
    Negate(Box<Node>),
    Arithmetic(Operator, Box<[Node; 2]>),
    Size(Box<Node>),
    Text(TextTest, Box<[Node; 2]>),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal,
    NotEqual,
    Below,
    AtMost,
    Above,
    AtLeast,
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Debug, Clone, Copy)]
enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

impl Expression {
    /// Reads an expression, or says what is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        compile::compile(text).map(Self)
    }

    /// Whether it is true of a payload; `None` where it has no truth value, as when a field is missing,
    /// or took too many steps. And how many it took.
    pub(super) fn matches(&self, payload: &Value) -> (Option<bool>, usize) {
        evaluate::evaluate(&self.0, payload)
    }
}
