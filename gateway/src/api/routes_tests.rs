//! Every route stands in the list from which the tenants' tests are generated.

use std::collections::BTreeSet;

use actix_web::{App, introspection::IntrospectionTree, test, web};
use serde_json::Value;

use super::*;

const LISTED: &str = include_str!("../../tests/it/tenants/routes.txt");

#[actix_web::test]
async fn every_route_is_listed() {
    let tree = async |tree: web::Data<IntrospectionTree>| tree.report_as_json();
    let app = App::new()
        .configure(routes)
        .configure(crate::portal::routes)
        .route("/tree", web::get().to(tree));
    let app = test::init_service(app).await;
    let request = test::TestRequest::with_uri("/tree").to_request();
    let report: Vec<Value> =
        serde_json::from_slice(&test::call_and_read_body(&app, request).await).unwrap();
    let mut found = BTreeSet::new();
    for item in &report {
        let path = item["full_path"].as_str().unwrap();
        for method in item["methods"].as_array().into_iter().flatten() {
            found.insert(format!("{} {path}", method.as_str().unwrap()));
        }
    }
    found.remove("GET /tree");
    assert!(found.len() > 50, "the routes are not found any more: {found:?}");
    let listed: BTreeSet<String> = LISTED.lines().map(str::to_owned).collect();
    let new: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "tests/it/tenants/routes.txt lacks {new:#?} and has too many {gone:#?}"
    );
}
