use std::{collections::BTreeSet, path::Path};

use actix_web::{App, HttpResponse, introspection::IntrospectionTree, test as server, web};
use serde_json::Value;

use super::{TEXT, operations, page::PAGE};
use crate::api::routes;

const WRITTEN: &str = "../docs/openapi.json";

#[test]
fn the_document_that_is_checked_in_is_that_of_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(WRITTEN);
    if std::env::var_os("SLUICEGATE_WRITE_OPENAPI").is_some() {
        std::fs::write(&file, TEXT.as_str()).unwrap();
    }
    let same = std::fs::read_to_string(&file).unwrap() == *TEXT;
    assert!(same, "docs/openapi.json is old: see CONTRIBUTING.md");
}

/// `GET /api/v1/app`, and so on.
type Routes = BTreeSet<String>;

/// The routes that the server has.
async fn served() -> Routes {
    async fn all(tree: web::Data<IntrospectionTree>) -> HttpResponse {
        HttpResponse::Ok().body(tree.report_as_json())
    }
    let app = App::new().configure(routes).route("/all", web::get().to(all));
    let app = server::init_service(app).await;
    let request = server::TestRequest::get().uri("/all").to_request();
    let report: Value = server::call_and_read_body_json(&app, request).await;
    let mut routes = Routes::new();
    for item in report.as_array().unwrap() {
        let path = item["full_path"].as_str().unwrap();
        for method in item["methods"].as_array().unwrap() {
            routes.insert(format!("{} {path}", method.as_str().unwrap()));
        }
    }
    routes.retain(|route| route.contains(" /api/v1/"));
    routes
}

fn documented() -> Routes {
    let document = operations::all();
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    routes.collect()
}

#[actix_web::test]
async fn the_document_has_the_routes_that_there_are() {
    let (served, documented) = (served().await, documented());
    assert!(served.len() > 50, "{served:?}");
    let missing: Vec<_> = served.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&served).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:?}, invented {invented:?}"
    );
}

#[test]
fn names_are_unique() {
    assert_eq!(operations::document().ambiguous(), Vec::<String>::new());
    let document = operations::all();
    let mut ids = BTreeSet::new();
    for operation in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
    {
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
    }
}

/// Calls `see` with each object in a value.
fn walk(value: &Value, see: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            see(object);
            object.values().for_each(|inner| walk(inner, see));
        }
        Value::Array(list) => list.iter().for_each(|inner| walk(inner, see)),
        _ => {}
    }
}

#[test]
fn all_that_is_referred_to_is_there_and_nothing_else() {
    let document = operations::all();
    let mut wanted = BTreeSet::new();
    walk(&document, &mut |object| {
        if let Some(Value::String(reference)) = object.get("$ref") {
            let path = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(path).is_some(), "{reference}");
            wanted.insert(reference.clone());
        }
    });
    for kind in ["schemas", "responses", "headers"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(wanted.contains(&reference), "{reference} is referred to by nobody");
        }
    }
}

#[test]
fn the_page_asks_nobody_else() {
    assert!(!PAGE.contains("//"), "{PAGE}");
}
