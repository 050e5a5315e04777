use serde_json::{Value, json};

use super::{Filter, FilterFault};
use crate::domain::Payload;

fn passes(filter: &Value, payload: &Value) -> bool {
    let filter = Filter::compile(filter).unwrap_or_else(|faults| panic!("{filter}: {faults:?}"));
    filter.matches(&Payload::new(payload.to_string().as_bytes()))
}

fn faults(filter: &Value) -> Vec<(String, String)> {
    let faults = Filter::compile(filter).err().unwrap_or_default();
    faults.into_iter().map(|FilterFault { path, msg }| (path.join("/"), msg)).collect()
}

fn order() -> Value {
    json!({
        "type": "order", "amount": 150, "share": 0.5, "paid": true, "coupon": null, "great": u64::MAX,
        "customer": {"id": 7, "name": "Åse", "tags": ["vip", "eu", 3]}, "a/b": {"~": "x"},
    })
}

#[test]
fn conditions() {
    for (condition, expected) in [
        (json!({"pointer": "/type", "equals": "order"}), true),
        (json!({"pointer": "/type", "equals": "Order"}), false),
        (json!({"pointer": "/amount", "equals": 150.0}), true),
        (json!({"pointer": "/amount", "equals": "150"}), false),
        (json!({"pointer": "/paid", "equals": true}), true),
        (json!({"pointer": "/coupon", "equals": null}), true),
        (json!({"pointer": "/nothing", "equals": null}), false),
        (json!({"pointer": "/customer", "equals": null}), false),
        (json!({"pointer": "/great", "equals": u64::MAX}), true),
        (json!({"pointer": "/great", "equals": u64::MAX - 1}), false),
        (json!({"pointer": "/type", "in": ["invoice", "order"]}), true),
        (json!({"pointer": "/amount", "in": ["150", 150]}), true),
        (json!({"pointer": "/amount", "in": ["150", null]}), false),
        (json!({"pointer": "/customer/name", "prefix": "Å"}), true),
        (json!({"pointer": "/amount", "prefix": "1"}), false),
        (json!({"pointer": "/coupon", "exists": true}), true),
        (json!({"pointer": "/customer/id", "exists": false}), false),
        (json!({"pointer": "/nothing/at/all", "exists": false}), true),
        (json!({"pointer": "/amount", "gt": 149, "lt": 150.5}), true),
        (json!({"pointer": "/amount", "gt": 150}), false),
        (json!({"pointer": "/amount", "gte": 150, "lte": 150}), true),
        (json!({"pointer": "/share", "lt": 1}), true),
        (json!({"pointer": "/type", "gt": 1}), false),
        (json!({"pointer": "/nothing", "lt": 1}), false),
        (json!({"pointer": "/customer/tags/1", "equals": "eu"}), true),
        (json!({"pointer": "/a~1b/~0", "equals": "x"}), true),
        (json!({"not": {"pointer": "/nothing", "equals": 1}}), true),
        (
            json!({"all": [{"pointer": "/paid", "equals": true}, {"pointer": "/amount", "lt": 1}]}),
            false,
        ),
        (
            json!({"any": [{"pointer": "/paid", "equals": false}, {"pointer": "/amount", "gt": 1}]}),
            true,
        ),
    ] {
        assert_eq!(passes(&condition, &order()), expected, "{condition}");
    }
}

#[test]
fn expressions() {
    for (expression, expected) in [
        ("payload.amount > 100 && payload.type == 'order'", true),
        ("payload.amount > 100.5 || payload.nothing", true),
        ("payload.nothing || payload.paid", true),
        ("payload.nothing && false", false),
        ("!(payload.nothing == 1)", false),
        ("payload.nothing == 1", false),
        ("has(payload.customer.id) && !has(payload.customer.none)", true),
        ("payload['customer'].tags[0] == 'vip' && payload.customer[\"id\"] in [1, 7u]", true),
        ("'eu' in payload.customer.tags && !('us' in payload.customer.tags)", true),
        ("'id' in payload.customer", true),
        ("payload.customer.name.startsWith('Å') && payload.type.endsWith('er')", true),
        ("payload.type.contains('rde')", true),
        ("size(payload.customer.tags) == 3 && payload.customer.name.size() == 3", true),
        (
            "payload.amount * 2 + 1 == 301 && -payload.amount < 0 && payload.amount % 100 == 50",
            true,
        ),
        ("payload.amount / 100 == 1 && payload.share * 2 == 1", true),
        ("payload.paid ? payload.amount == 150 : payload.nothing", true),
        ("payload.coupon == null && payload.type != null && payload.customer != null", true),
        ("payload.great == 18446744073709551615u", true),
        // None of these has a truth value.
        ("payload.amount", false),
        ("payload.great * payload.great > 0", false),
        ("payload.amount / 0 == 1", false),
        ("payload.type + 'x' == 'orderx'", false),
        ("payload.customer == payload.customer", false),
        ("payload.type < 1", false),
        ("payload.customer.tags[-1] == 3", false),
        ("payload.customer.tags[9] == 3", false),
    ] {
        assert_eq!(passes(&json!({"cel": expression}), &order()), expected, "{expression}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_noted() {
    let filter = |filter: Value| Filter::compile(&filter).unwrap();
    let payload = Payload::new(br#"{"a": 1}"#);
    assert!(!filter(json!({"cel": "payload.b == 1"})).matches(&payload));
    assert!(!filter(json!({"pointer": "/b", "equals": 1})).matches(&payload));
    assert!(!filter(json!({"cel": "payload.a == 2"})).matches(&payload));
    assert_eq!(payload.filter_failures(), 1);
    let broken = Payload::new(b"no json");
    assert!(!filter(json!({"pointer": "/b", "exists": false})).matches(&broken));
    assert_eq!(broken.filter_failures(), 1);
}

#[test]
fn faults_name_their_place() {
    let deep =
        (0..9).fold(json!({"pointer": "/a", "exists": true}), |inner, _| json!({"not": inner}));
    let wide = json!({"any": vec![json!({"pointer": "/a", "exists": true}); 65]});
    let condition = json!({"pointer": "/a", "exists": true});
    for (filter, path, part) in [
        (json!(1), "", "object"),
        (json!({}), "", "condition"),
        (json!({"all": []}), "all", "at least one"),
        (
            json!({"all": [condition, {"pointer": "a", "equals": 1}]}),
            "all/1/pointer",
            "JSON pointer",
        ),
        (json!({"any": [{"not": {"pointer": "/a"}}]}), "any/0/not", "needs one of"),
        (json!({"any": [condition], "all": [condition]}), "", "condition"),
        (json!({"pointer": "/a", "equals": [1]}), "equals", "a string, number"),
        (json!({"pointer": "/a", "in": []}), "in", "array"),
        (json!({"pointer": "/a", "in": [[1]]}), "in", "array"),
        (json!({"pointer": "/a", "in": vec![1; 257]}), "in", "array"),
        (json!({"pointer": "/a", "prefix": 1}), "prefix", "string"),
        (json!({"pointer": "/a", "exists": 1}), "exists", "true or false"),
        (json!({"pointer": "/a", "gt": "1"}), "gt", "number"),
        (json!({"pointer": "/a", "like": "1"}), "like", "unknown"),
        (deep, "not/not/not/not/not/not/not/not", "deeper than 8"),
        (wide, "any/64", "more than 64"),
        (json!({"pointer": "/a", "equals": "x".repeat(17_000)}), "", "larger than"),
        (json!({"cel": 1}), "cel", "string"),
        (json!({"cel": "payload.a", "not": condition}), "", "alone"),
        (json!({"cel": ""}), "cel", "1 to 1024"),
        (json!({"cel": "x".repeat(1025)}), "cel", "1 to 1024"),
        (json!({"cel": "payload.a >"}), "cel", "not CEL: at 1:"),
        (json!({"cel": "headers.a == 1"}), "cel", "`headers` is unknown"),
        (json!({"cel": "payload.a.matches('(a+)+$')"}), "cel", "`matches` is not supported"),
        (json!({"cel": "payload.a.all(x, x > 1)"}), "cel", "not supported"),
        (json!({"cel": "payload.a.map(x, x + x) == {}"}), "cel", "not supported"),
        (json!({"cel": "{'a': 1}.a == 1"}), "cel", "not supported"),
        (json!({"cel": "payload.a == b'x'"}), "cel", "bytes"),
    ] {
        let found = faults(&filter);
        assert!(
            found.iter().any(|(at, msg)| at == path && msg.contains(part)),
            "{filter}: {found:?}"
        );
    }
    let both = json!({"all": [{"pointer": "a", "exists": true}, {"pointer": "/a", "like": 1}]});
    assert_eq!(faults(&both).len(), 2, "all faults are told");
}

#[test]
fn hostile_expressions_are_refused_at_once() {
    for text in [
        "(".repeat(1000),
        format!("{}{}", "[".repeat(500), "]".repeat(500)),
        format!("{}true", "!".repeat(1000)),
        format!("{}c", "a?b:".repeat(250)),
        format!("payload{}", ".b".repeat(500)),
        format!("payload{}", "[payload".repeat(120)),
        "{".repeat(1000),
        "payload.all(x,".repeat(70),
        format!("{}1 == 1", "1+".repeat(500)),
        "\u{0}".repeat(1000),
        "\"".repeat(1001),
        "payload.f(".repeat(100),
        "é".repeat(500),
    ] {
        // Whatever the parser makes of it, it comes back, and what it takes can be evaluated.
        if let Ok(filter) = Filter::compile(&json!({"cel": text})) {
            let _ = filter.matches(&Payload::new(b"{}"));
        }
    }
    assert!(!faults(&json!({"cel": format!("payload{}", ".b".repeat(500))})).is_empty());
    assert!(!faults(&json!({"cel": format!("{}1 == 1", "1+".repeat(500))})).is_empty());
}

#[test]
fn no_payload_makes_an_expression_take_long() {
    let clauses = vec!["payload.x in payload.items"; 30].join(" || ");
    let filter = Filter::compile(&json!({"cel": clauses})).unwrap();
    let payload = json!({"x": -1, "items": (0..9_000).collect::<Vec<_>>()}).to_string();
    let payload = Payload::new(payload.as_bytes());
    assert!(!filter.matches(&payload));
    assert_eq!(payload.filter_failures(), 1, "it ran out of steps");
    let once = Filter::compile(&json!({"cel": "!(payload.x in payload.items)"})).unwrap();
    assert!(once.matches(&payload));
}

#[test]
fn a_record_keeps_its_text_and_a_newer_one_lets_everything_pass() {
    for source in [json!({"pointer": "/a", "equals": 1}), json!({"pointer": "/a", "resembles": 1})]
    {
        let filter: Filter = serde_json::from_value(source.clone()).unwrap();
        assert_eq!(serde_json::to_value(&filter).unwrap(), source);
        let passes = filter.matches(&Payload::new(b"{}"));
        assert_eq!(passes, source.get("resembles").is_some());
    }
}
