//! The document of the API, and the page that shows it.

use reqwest::Client;

use crate::harness::{fresh, send};

#[tokio::test]
async fn everybody_may_read_the_document_and_its_page() {
    let (api, _stored) = fresh().await;
    let client = Client::new();
    let document = send(client.get(api.url("/openapi.json"))).await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    let root = api.url("").replace("/api/v1", "");
    for path in ["/docs", "/docs/"] {
        let page = send(client.get(format!("{root}{path}"))).await;
        assert_eq!(page.status, 200);
        assert!(
            page.headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
        // What it names is there.
        for name in ["docs/rapidoc.js", "api/v1/openapi.json"] {
            assert!(page.text.contains(&format!("\"{name}\"")), "{}", page.text);
            assert_eq!(send(client.get(format!("{root}/{name}"))).await.status, 200, "{name}");
        }
    }
    let script = client.get(format!("{root}/docs/rapidoc.js")).send().await.unwrap();
    assert_eq!(script.headers()["content-encoding"], "gzip");
    assert!(script.bytes().await.unwrap().starts_with(b"\x1f\x8b"));
}

#[tokio::test]
async fn a_path_names_the_methods_that_it_has() {
    let (api, _stored) = fresh().await;
    for (path, methods) in
        [("/app", "GET, POST"), ("/app/a", "DELETE, GET, PATCH, PUT"), ("/app/a/msg/batch", "POST")]
    {
        let answer = send(api.request(reqwest::Method::TRACE, path)).await;
        answer.expect_error(405, "method_not_allowed");
        assert_eq!(answer.headers["allow"], methods);
    }
    let page = api.url("").replace("/api/v1", "/docs");
    assert_eq!(send(Client::new().post(page)).await.headers["allow"], "GET");
}

#[tokio::test]
async fn an_iterator_of_another_list_is_refused() {
    let (api, _stored) = fresh().await;
    let app = api.application("acme").await;
    let lists = ["/app", "/background-task", "/app/acme/msg"];
    for path in lists {
        for iterator in ["", "x", "n_0", &format!("p_{app}")] {
            let answer = api.get(&format!("{path}?iterator={iterator}")).await;
            answer.expect_error(422, "validation_failed");
        }
    }
}
