//! From the text of an expression to what can be evaluated within bounds.

use cel::{
    common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators as op},
    parser::PrattParser,
};
use serde_json::Value;

use super::{Comparison, Node, Operator, TextTest};

/// Most bytes of an expression.
const MAX_BYTES: usize = 1024;
/// How deeply it may be nested, in the text and as it is evaluated.
const MAX_DEPTH: u16 = 32;
/// Most operators, names and literals.
const MAX_NODES: usize = 256;
const PAYLOAD: &str = "payload";

type Result<T> = std::result::Result<T, String>;

pub(super) fn compile(text: &str) -> Result<Node> {
    if text.is_empty() || text.len() > MAX_BYTES {
        return Err(format!("expected an expression of 1 to {MAX_BYTES} bytes"));
    }
    let parsed = PrattParser::new()
        .max_recursion_depth(MAX_DEPTH)
        .max_expression_node_count(MAX_NODES)
        .parse(text)
        .map_err(|error| match error.errors.first() {
            Some(first) => format!("not CEL: at {}:{}: {}", first.pos.0, first.pos.1, first.msg),
            None => "not CEL".to_owned(),
        })?;
    Compiler { nodes: 0 }.node(parsed, 1)
}

struct Compiler {
    nodes: usize,
}

impl Compiler {
    fn node(&mut self, IdedExpr { expr, .. }: IdedExpr, depth: u16) -> Result<Node> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(format!("has more than {MAX_NODES} parts"));
        }
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        match expr {
            Expr::Ident(name) if name == PAYLOAD => Ok(Node::Payload),
            Expr::Ident(name) => Err(format!("`{name}` is unknown: there is only `{PAYLOAD}`")),
            Expr::Literal(literal) => literal_of(literal),
            Expr::List(list) if list.optional_indices.is_empty() => {
                let items = list.elements.into_iter().map(|item| self.node(item, depth + 1));
                items.collect::<Result<_>>().map(Node::List)
            }
            Expr::Select(select) => {
                let of = Box::new(self.node(*select.operand, depth + 1)?);
                let field = select.field.into();
                Ok(if select.test { Node::Has(of, field) } else { Node::Field(of, field) })
            }
            Expr::Call(call) => self.call(call, depth + 1),
            Expr::Comprehension(_) => {
                Err("all, exists, exists_one, map and filter are not supported: their cost would depend on \
                     the payload".to_owned())
            }
            Expr::List(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err("maps and messages are not supported".to_owned())
            }
        }
    }

    fn call(&mut self, call: CallExpr, depth: u16) -> Result<Node> {
        let CallExpr { func_name: name, target, args } = call;
        let args: Vec<_> = target
            .map(|target| *target)
            .into_iter()
            .chain(args)
            .map(|arg| self.node(arg, depth))
            .collect::<Result<_>>()?;
        let count = args.len();
        let unknown = || {
            format!(
                "`{name}` is not supported with {count} arguments: there are && || ! ?: == != < <= > >= in + - * \
                     / % has size startsWith endsWith contains"
            )
        };
        let args = match <[Node; 1]>::try_from(args) {
            Ok([one]) => {
                let one = Box::new(one);
                return match name.as_str() {
                    op::LOGICAL_NOT => Ok(Node::Not(one)),
                    op::NEGATE => Ok(Node::Negate(one)),
                    "size" => Ok(Node::Size(one)),
                    _ => Err(unknown()),
                };
            }
            Err(args) => args,
        };
        let args = match <[Node; 3]>::try_from(args) {
            Ok(three) if name == op::CONDITIONAL => return Ok(Node::Conditional(Box::new(three))),
            Ok(_) => return Err(unknown()),
            Err(args) => args,
        };
        let two = <[Node; 2]>::try_from(args).map(Box::new).map_err(|_| unknown())?;
        let compare = |comparison, two| Ok(Node::Compare(comparison, two));
        let arithmetic = |operator, two| Ok(Node::Arithmetic(operator, two));
        match name.as_str() {
            op::LOGICAL_AND => Ok(Node::And(two)),
            op::LOGICAL_OR => Ok(Node::Or(two)),
            op::EQUALS => compare(Comparison::Equal, two),
            op::NOT_EQUALS => compare(Comparison::NotEqual, two),
            op::LESS => compare(Comparison::Below, two),
            op::LESS_EQUALS => compare(Comparison::AtMost, two),
            op::GREATER => compare(Comparison::Above, two),
            op::GREATER_EQUALS => compare(Comparison::AtLeast, two),
            op::IN => Ok(Node::In(two)),
            op::INDEX => {
                let [of, index] = *two;
                Ok(Node::Index(Box::new(of), Box::new(index)))
            }
            op::ADD => arithmetic(Operator::Add, two),
            op::SUBSTRACT => arithmetic(Operator::Subtract, two),
            op::MULTIPLY => arithmetic(Operator::Multiply, two),
            op::DIVIDE => arithmetic(Operator::Divide, two),
            op::MODULO => arithmetic(Operator::Modulo, two),
            "startsWith" => Ok(Node::Text(TextTest::StartsWith, two)),
            "endsWith" => Ok(Node::Text(TextTest::EndsWith, two)),
            "contains" => Ok(Node::Text(TextTest::Contains, two)),
            _ => Err(unknown()),
        }
    }
}

fn literal_of(literal: LiteralValue) -> Result<Node> {
    Ok(Node::Literal(match literal {
        LiteralValue::Null => Value::Null,
        LiteralValue::Boolean(flag) => Value::from(*flag.inner()),
        LiteralValue::Int(int) => Value::from(*int.inner()),
        LiteralValue::UInt(uint) => Value::from(*uint.inner()),
        LiteralValue::Double(double) => Value::from(*double.inner()),
        LiteralValue::String(text) => Value::from(text.inner()),
        LiteralValue::Bytes(_) => return Err("bytes are not supported".to_owned()),
    }))
}
