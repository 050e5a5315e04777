//! What a customer sets up: applications, event types, endpoints.

use serde_json::{Value, json};
use svix::{
    api::{
        ApplicationListOptions, EndpointListOptions, EventTypeDeleteOptions, EventTypeListOptions,
        OperationalWebhookEndpointListOptions, Svix,
    },
    models::Ordering,
    webhooks::Webhook,
};

use crate::{
    customer::{
        Customer, answer, assert_pages, client, data, done, eventually, fields, ids, input, ok,
        status_of, text,
    },
    names,
};

/// What is set up.
pub struct Setup {
    pub app: String,
    pub endpoint: String,
    pub secret: String,
    /// Of the secret, and of the one before.
    pub webhooks: [Webhook; 2],
}

impl Customer {
    /// Answers the application that is left.
    pub async fn applications(&self) -> String {
        let (api, uid) = (self.svix.application(), format!("shop-{}", self.run));
        let whole = json!({"name": "Shop", "uid": uid, "metadata": {"plan": "pro"}});
        let app = answer(api.create(input(whole.clone()), None).await);
        let id = text(&app["id"]);
        assert!(id.starts_with("app_"));
        assert_eq!(fields(&app, &["name", "uid"]), json!(["Shop", uid]));
        assert_eq!(answer(api.get(id.clone()).await), app);
        assert_eq!(answer(api.get(uid.clone()).await), app);
        let other = json!({"name": "Other", "uid": uid});
        assert_eq!(answer(api.get_or_create(input(other), None).await), app);
        assert_eq!(status_of(api.create(input(whole), None).await), 409);
        ok("application: create, get by id and by uid, get or create, conflict");

        let patch = async |patch: Value| answer(api.patch(uid.clone(), input(patch)).await);
        let patched = patch(json!({"throttleRate": 50})).await;
        let expected = json!(["Shop", {"plan": "pro"}, 50]);
        assert_eq!(fields(&patched, &["name", "metadata", "throttleRate"]), expected);
        let patched = patch(json!({"throttleRate": null})).await;
        assert_eq!(fields(&patched, &["name", "throttleRate"]), json!(["Shop", null]));
        let store = input(json!({"name": "Store", "uid": uid}));
        let replaced = answer(names::upsert_application(&api, uid.clone(), store).await);
        assert_eq!(fields(&replaced, &["id", "name", "metadata"]), json!([id, "Store", {}]));
        let other = format!("other-{}", self.run);
        let input_of_other = input(json!({"name": "Other"}));
        let created = answer(names::upsert_application(&api, other.clone(), input_of_other).await);
        assert_eq!(fields(&created, &["name", "uid"]), json!(["Other", other]));
        ok("application: patch what is given and what is null, replace, create by uid");

        let third = answer(api.create(input(json!({"name": "Third"})), None).await);
        let newest = [text(&third["id"]), text(&created["id"]), id.clone()];
        let page = async |iterator| {
            let order = Some(Ordering::Descending);
            let options =
                ApplicationListOptions { limit: Some(2), iterator, order, ..Default::default() };
            answer(api.list(Some(options)).await)
        };
        assert_pages(page, &newest).await;
        for extra in &newest[..2] {
            done(api.delete(extra.clone()).await);
        }
        assert_eq!(status_of(api.get(newest[0].clone()).await), 404);
        ok("application: list both ways, delete");
        id
    }

    pub async fn event_types(&self) {
        let (api, name) = (self.svix.event_type(), self.event_type.clone());
        let schemas = json!({"1": {"type": "object", "examples": [{"order": 1}, {"order": 2}]}});
        let whole = json!({"name": name, "description": "An order", "schemas": schemas, "groupName": "order"});
        let created = answer(api.create(input(whole.clone()), None).await);
        assert_eq!(
            fields(&created, &["name", "schemas", "archived"]),
            json!([name, schemas, false])
        );
        assert_eq!(answer(api.get(name.clone()).await), created);
        assert_eq!(status_of(api.create(input(whole), None).await), 409);
        let patch = async |patch: Value| answer(api.patch(name.clone(), input(patch)).await);
        let patched = patch(json!({"groupName": null, "deprecated": true})).await;
        let shown = ["description", "groupName", "deprecated"];
        assert_eq!(fields(&patched, &shown), json!(["An order", null, true]));
        let new = input(json!({"description": "New", "schemas": schemas}));
        let replaced = answer(names::upsert_event_type(&api, name.clone(), new).await);
        assert_eq!(fields(&replaced, &shown), json!(["New", null, false]));
        ok("event type: create, get, conflict, patch, replace");

        let find = async |with_content, include_archived| -> Option<Value> {
            let mut iterator = None;
            loop {
                let options = EventTypeListOptions {
                    limit: Some(100),
                    iterator,
                    with_content,
                    include_archived,
                    ..Default::default()
                };
                let page = answer(api.list(Some(options)).await);
                let found = data(&page).iter().find(|it| it["name"] == name.as_str());
                if found.is_some() || page["done"] == true {
                    return found.cloned();
                }
                iterator = Some(text(&page["iterator"]));
            }
        };
        assert_eq!(find(Some(true), None).await.expect("listed")["schemas"], schemas);
        assert_eq!(find(Some(false), None).await.expect("listed")["schemas"], Value::Null);
        done(api.delete(name.clone(), None).await);
        assert_eq!(answer(api.get(name.clone()).await)["archived"], true);
        assert!(find(None, None).await.is_none() && find(None, Some(true)).await.is_some());
        assert_eq!(patch(json!({"archived": false})).await["archived"], false);
        assert!(find(None, None).await.is_some());
        let gone = format!("{name}.gone");
        let mistake = input(json!({"description": "A mistake"}));
        answer(names::upsert_event_type(&api, gone.clone(), mistake).await);
        let expunge = EventTypeDeleteOptions { expunge: Some(true) };
        done(api.delete(gone.clone(), Some(expunge)).await);
        assert_eq!(status_of(api.get(gone).await), 404);
        ok("event type: list, archive, unarchive, expunge");

        let environment = answer(self.svix.environment().export(None).await);
        let exported = environment["eventTypes"].as_array().expect("a list");
        let exported = exported.iter().find(|it| it["name"] == name.as_str());
        assert_eq!(exported.expect("exported")["schemas"], schemas);
        let moved = json!({"name": name, "description": "Moved", "schemas": schemas});
        let moved = input(json!({"eventTypes": [moved]}));
        done(self.svix.environment().import(moved, None).await);
        assert_eq!(answer(api.get(name.clone()).await)["description"], "Moved");
        ok("environment: export, import");

        if self.offers("POST", "/event-type/import/openapi") {
            let imported = format!("{name}.imported");
            let body = json!({"content": {"application/json": {"schema": {"type": "object"}}}});
            let operation =
                json!({"post": {"requestBody": body, "responses": {}, "description": "imported"}});
            let spec = json!({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "webhooks": {&imported: operation}});
            let answered = answer(api.import_openapi(input(json!({"spec": spec})), None).await);
            let modified = answered["data"]["modified"].as_array().expect("a list");
            assert!(modified.contains(&json!(imported)), "{answered}");
            assert_eq!(answer(api.get(imported.clone()).await)["name"], imported.as_str());
            let expunge = EventTypeDeleteOptions { expunge: Some(true) };
            done(api.delete(imported, Some(expunge)).await);
            ok("event type: import of OpenAPI");
        }
    }

    pub async fn endpoints(&self, app: String) -> Setup {
        let api = self.svix.endpoint();
        let (url, types) = (&self.receiver.url, names::TYPES);
        let whole = json!({"url": url, "uid": "orders", "headers": {"X-A": "a"}});
        let endpoint = answer(api.create(app.clone(), input(whole), None).await);
        let id = text(&endpoint["id"]);
        assert!(id.starts_with("ep_") && endpoint["url"] == url.as_str());
        assert_eq!(answer(api.get(app.clone(), "orders".into()).await), endpoint);
        let upsert = async |whole: Value| {
            let name = "refusing".to_owned();
            answer(names::upsert_endpoint(&api, app.clone(), name, input(whole)).await)
        };
        let refusing = upsert(json!({"url": self.receiver.refusing})).await;
        assert_eq!(fields(&refusing, &["uid", "url"]), json!(["refusing", self.receiver.refusing]));
        ok("endpoint: create, get, create by uid");

        let patch = async |patch: Value| {
            answer(api.patch(app.clone(), "refusing".into(), input(patch)).await)
        };
        let shown = [types, "channels", "description", "throttleRate"];
        let chosen = json!({types: [self.event_type], "channels": ["web"], "description": "d", "throttleRate": 99});
        assert_eq!(fields(&patch(chosen.clone()).await, &shown), fields(&chosen, &shown));
        let changed = patch(json!({"throttleRate": null, "channels": null})).await;
        assert_eq!(fields(&changed, &shown), json!([[self.event_type], null, "d", null]));
        let changed =
            upsert(json!({"url": self.receiver.refusing, "uid": "refusing", "disabled": true}))
                .await;
        let expected = json!([refusing["id"], true, ""]);
        assert_eq!(fields(&changed, &["id", "disabled", "description"]), expected);
        let third = json!({"url": url, "disabled": true});
        let third = answer(api.create(app.clone(), input(third), None).await);
        let oldest = [id.clone(), text(&refusing["id"]), text(&third["id"])];
        let page = async |iterator| {
            let options = EndpointListOptions { limit: Some(2), iterator, ..Default::default() };
            answer(api.list(app.clone(), Some(options)).await)
        };
        assert_pages(page, &oldest).await;
        done(api.delete(app.clone(), oldest[2].clone()).await);
        ok("endpoint: patch what is given and what is null, replace, list both ways, delete");

        let headers = async || answer(api.get_headers(app.clone(), id.clone()).await);
        assert_eq!(headers().await, json!({"headers": {"X-A": "a"}, "sensitive": []}));
        let set = input(json!({"headers": {"X-B": "b", "Authorization": "secret"}}));
        done(names::set_headers(&api, app.clone(), id.clone(), set).await);
        assert_eq!(
            headers().await,
            json!({"headers": {"X-B": "b"}, "sensitive": ["Authorization"]})
        );
        let more = input(json!({"headers": {"X-C": "c"}, "deleteHeaders": ["X-B"]}));
        done(api.patch_headers(app.clone(), id.clone(), more).await);
        assert_eq!(headers().await["headers"], json!({"X-C": "c"}));
        ok("endpoint: headers");

        let secret = async || text(&answer(api.get_secret(app.clone(), id.clone()).await)["key"]);
        let old = secret().await;
        done(api.rotate_secret(app.clone(), id.clone(), input(json!({})), None).await);
        let new = secret().await;
        assert_ne!(new, old);
        let webhooks = [&new, &old].map(|secret| Webhook::new(secret).expect("a secret"));
        ok("endpoint: secret, rotate");
        Setup { app, endpoint: id, secret: new, webhooks }
    }

    pub async fn operational_webhooks(&self) {
        let api = names::operational_endpoints(&self.svix);
        let (uid, types) = (format!("operator-{}", self.run), names::TYPES);
        let mut whole = json!({"url": self.receiver.url, "uid": uid, "disabled": true, types: ["endpoint.disabled"]});
        let created = answer(api.create(input(whole.clone()), None).await);
        assert!(text(&created["id"]).starts_with("ep_"));
        assert_eq!(created[types], json!(["endpoint.disabled"]));
        assert_eq!(answer(api.get(uid.clone()).await), created);
        let options = OperationalWebhookEndpointListOptions {
            limit: Some(1),
            order: Some(Ordering::Descending),
            ..Default::default()
        };
        assert_eq!(ids(&answer(api.list(Some(options)).await)), [text(&created["id"])]);
        whole[types] = Value::Null;
        whole["description"] = json!("d");
        let upserted = names::upsert_operational_endpoint(&api, uid.clone(), input(whole));
        let changed = answer(upserted.await);
        let expected = json!([created["id"], "d", null]);
        assert_eq!(fields(&changed, &["id", "description", types]), expected);
        let headers = json!({"headers": {"X-A": "a"}});
        done(names::set_operational_headers(&api, uid.clone(), input(headers)).await);
        assert_eq!(answer(api.get_headers(uid.clone()).await)["headers"], json!({"X-A": "a"}));
        let secret = answer(api.get_secret(uid.clone()).await);
        done(api.rotate_secret(uid.clone(), input(json!({})), None).await);
        assert_ne!(answer(api.get_secret(uid.clone()).await), secret);
        done(api.delete(uid.clone()).await);
        assert_eq!(status_of(api.get(uid).await), 404);
        ok("operational webhooks: create, get, list, replace, headers, secret, delete");
    }

    pub async fn access(&self, app: &str) {
        let api = self.svix.authentication();
        let see = async |tenant: &Svix| tenant.application().get(app.to_owned()).await;
        let tenant = async || {
            let wish = input(json!({}));
            let access = answer(api.app_portal_access(app.to_owned(), wish, None).await);
            assert!(text(&access["url"]).starts_with("http"));
            let tenant = client(&self.server_url, text(&access["token"]));
            assert_eq!(answer(see(&tenant).await)["id"], app);
            tenant
        };
        let (first, second) = (tenant().await, tenant().await);
        done(first.authentication().logout(None).await);
        assert_eq!(status_of(see(&first).await), 401);
        assert_eq!(answer(see(&second).await)["id"], app);
        let at_once = input(json!({"expiry": 0}));
        done(api.expire_all(app.to_owned(), at_once, None).await);
        let seen = async || json!(see(&second).await.is_ok());
        eventually(seen, |seen| *seen == json!(false)).await;
        assert_eq!(status_of(see(&second).await), 401);
        names::dashboard_access(&api, app.to_owned()).await;
        ok("access: a tenant's token, logout, expire all");
    }
}
