//! What a customer sends, receives, and looks up afterwards.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use svix::{
    api::{
        BackgroundTaskListOptions, EndpointGetStatsOptions,
        MessageAttemptListAttemptedMessagesOptions, MessageAttemptListByEndpointOptions,
        MessageAttemptListByMsgOptions, MessageGetOptions, MessageListOptions,
    },
    models::{BackgroundTaskStatus, MessageStatus, StatusCodeClass},
};

use crate::{
    configuration::Setup,
    customer::{
        Customer, answer, assert_pages, data, done, eventually, fields, hours_from_now, ids, input,
        ok, status_of, text,
    },
    names,
    receiver::Delivery,
};

/// Payloads by the id of their message.
pub type Sent = BTreeMap<String, Value>;

fn payloads() -> [Value; 3] {
    [
        json!({"order": 1, "total": 12.5, "lines": [], "note": null}),
        json!({"order": 2, "customer": "Zoë Łukasz 株式会社", "nested": {"empty": {}}}),
        json!({"order": 3, "big": 9_007_199_254_740_991_i64, "text": "quotes \" and \\ and \n"}),
    ]
}

/// A time in the SDK's own type.
fn time<T: std::str::FromStr<Err: std::fmt::Debug>>(hours: i64) -> Option<T> {
    Some(hours_from_now(hours).parse().expect("a time"))
}

/// One name, in the SDK's own type of list.
fn one<T: FromIterator<String>>(name: &str) -> Option<T> {
    Some([name.to_owned()].into_iter().collect())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

impl Customer {
    /// What was sent, and the first of it.
    pub async fn messages(&self, app: &str) -> (Sent, String) {
        let (api, app) = (self.svix.message(), app.to_owned());
        let (mut sent, mut newest) = (Sent::new(), Vec::new());
        for (number, payload) in payloads().into_iter().enumerate() {
            let event_id = format!("{}-{number}", self.run);
            let mut message =
                json!({"eventType": self.event_type, "payload": payload, "eventId": event_id});
            if number == 0 {
                message["tags"] = json!(["first"]);
                message["channels"] = json!(["web"]);
            }
            let id = text(&answer(api.create(app.clone(), input(message), None).await)["id"]);
            assert!(id.starts_with("msg_"));
            newest.insert(0, id.clone());
            sent.insert(id, payload);
        }
        let event_id = format!("{}-0", self.run);
        let again = json!({"eventType": self.event_type, "payload": {}, "eventId": event_id});
        assert_eq!(status_of(api.create(app.clone(), input(again), None).await), 409);
        ok("message: create, and an event id only once");

        let first = newest[2].clone();
        let get = async |name: &str, with_content| {
            let options = MessageGetOptions { with_content: Some(with_content) };
            answer(api.get(app.clone(), name.to_owned(), Some(options)).await)
        };
        let message = get(&first, true).await;
        let shown = fields(&message, &["id", "payload", "tags", "channels", "eventId"]);
        assert_eq!(shown, json!([first, sent[&first], ["first"], ["web"], event_id]));
        assert_eq!(get(&event_id, false).await["payload"], json!({}));

        let list = async |options| answer(api.list(app.clone(), Some(options)).await);
        let page = async |iterator| {
            list(MessageListOptions { limit: Some(2), iterator, ..Default::default() }).await
        };
        assert_pages(page, &newest).await;
        let none: Vec<String> = vec![];
        let default = MessageListOptions::default;
        for (options, expected) in [
            (MessageListOptions { tag: some("first"), ..default() }, &newest[2..]),
            (MessageListOptions { channel: some("web"), ..default() }, &newest[2..]),
            (MessageListOptions { channel: some("none"), ..default() }, &none),
            (MessageListOptions { event_types: one(&self.event_type), ..default() }, &newest),
            (MessageListOptions { event_types: one("none"), ..default() }, &none),
            (MessageListOptions { after: time(-1), before: time(1), ..default() }, &newest),
            (MessageListOptions { before: time(-1), ..default() }, &none),
        ] {
            assert_eq!(ids(&list(options).await), expected);
        }
        for (with_content, payload) in [(true, &sent[&first]), (false, &json!({}))] {
            let options = MessageListOptions {
                with_content: Some(with_content),
                tag: some("first"),
                ..default()
            };
            assert_eq!(data(&list(options).await)[0]["payload"], *payload);
        }
        ok("message: get, list both ways, with each filter");

        if self.offers("POST", "/app/{app}/msg/precheck/active") {
            let check = input(json!({"eventType": self.event_type}));
            assert_eq!(answer(api.precheck(app, check, None).await), json!({"active": true}));
            ok("message: precheck");
        }
        (sent, first)
    }

    /// The next deliveries, verified.
    fn receive(&self, setup: &Setup, count: usize) -> (Sent, Delivery) {
        let mut received = Sent::new();
        let mut last = None;
        for _ in 0..count {
            let delivery = self.receiver.next();
            for webhook in &setup.webhooks {
                webhook.verify(&delivery.body, &delivery.headers).expect("a signature");
            }
            let id = delivery.headers["webhook-id"].to_str().expect("an id").to_owned();
            received.insert(id, serde_json::from_slice(&delivery.body).expect("JSON"));
            last = Some(delivery);
        }
        (received, last.expect("a delivery"))
    }

    pub fn deliveries(&self, setup: &Setup, sent: &Sent) {
        let (received, last) = self.receive(setup, sent.len());
        assert_eq!(received, *sent);
        assert_eq!(
            (&last.headers["x-c"], &last.headers["authorization"]),
            (&"c".parse().unwrap(), &"secret".parse().unwrap())
        );
        ok("deliveries: verified with the new secret and the old, with ids, bodies and headers");
        let changed = [&last.body[..], b" "].concat();
        assert!(setup.webhooks[0].verify(&changed, &last.headers).is_err());
        ok("deliveries: a changed body is not verified");
    }

    pub async fn attempts(&self, setup: &Setup, sent: &Sent, first: &str) {
        let api = self.svix.message_attempt();
        let (app, endpoint) = (setup.app.clone(), setup.endpoint.clone());
        let list = async |options| {
            answer(api.list_by_endpoint(app.clone(), endpoint.clone(), Some(options)).await)
        };
        let default = MessageAttemptListByEndpointOptions::default;
        let found =
            eventually(async || list(default()).await, |found| data(found).len() == sent.len())
                .await;
        for attempt in data(&found) {
            assert!(
                text(&attempt["id"]).starts_with("atmpt_")
                    && sent.contains_key(&text(&attempt["msgId"]))
            );
            let shown = fields(
                attempt,
                &["endpointId", "status", "statusText", "responseStatusCode", "url"],
            );
            assert_eq!(shown, json!([endpoint, 0, "success", 200, self.receiver.url]));
        }
        let all = ids(&found);
        let of_first = data(&found).iter().filter(|it| it["msgId"] == first);
        let of_first: Vec<String> = of_first.map(|it| text(&it["id"])).collect();
        let page = async |iterator| {
            let options =
                MessageAttemptListByEndpointOptions { limit: Some(2), iterator, ..default() };
            list(options).await
        };
        assert_pages(page, &all).await;
        type By = MessageAttemptListByEndpointOptions;
        let success = Some(MessageStatus::Success);
        let none: Vec<String> = vec![];
        for (options, expected) in [
            (By { status: success, expanded_statuses: Some(true), ..default() }, &all),
            (By { status: Some(MessageStatus::Fail), ..default() }, &none),
            (By { status_code_class: Some(StatusCodeClass::Code2xx), ..default() }, &all),
            (By { status_code_class: Some(StatusCodeClass::Code5xx), ..default() }, &none),
            (By { event_types: one(&self.event_type), ..default() }, &all),
            (By { event_types: one("none"), ..default() }, &none),
            (By { channel: some("web"), ..default() }, &of_first),
            (By { tag: some("first"), ..default() }, &of_first),
            (By { before: time(1), after: time(-1), ..default() }, &all),
            (By { after: time(1), ..default() }, &none),
        ] {
            assert_eq!(ids(&list(options).await), *expected);
        }
        let with =
            By { tag: some("first"), with_msg: Some(true), with_content: Some(false), ..default() };
        let with = list(with).await;
        let shown = fields(&data(&with)[0]["msg"], &["id", "eventType"]);
        assert_eq!(shown, json!([first, self.event_type]));
        let without = list(By { tag: some("first"), ..default() }).await;
        assert_eq!(data(&without)[0]["msg"], Value::Null);
        ok("attempts: by endpoint, both ways, with each filter");

        let of_message = async |status, endpoint_id| {
            let options = MessageAttemptListByMsgOptions {
                status,
                endpoint_id,
                tag: some("first"),
                channel: some("web"),
                ..Default::default()
            };
            answer(api.list_by_msg(app.clone(), first.to_owned(), Some(options)).await)
        };
        let attempt = ids(&of_message(None, Some(endpoint.clone())).await);
        assert_eq!(attempt, of_first);
        assert_eq!(ids(&of_message(Some(MessageStatus::Fail), None).await), none);
        let one_attempt = api.get(app.clone(), first.to_owned(), attempt[0].clone(), None);
        assert_eq!(answer(one_attempt.await)["id"], attempt[0].as_str());
        let reached = api.list_attempted_destinations(app.clone(), first.to_owned(), None).await;
        let reached = answer(reached);
        assert_eq!(ids(&reached), [endpoint.clone()]);
        assert_eq!(fields(&data(&reached)[0], &["status", "statusText"]), json!([0, "success"]));
        ok("attempts: by message, one, destinations");
        self.tried(setup, sent, first).await;

        done(api.resend(app.clone(), first.to_owned(), endpoint.clone(), None).await);
        assert_eq!(self.receive(setup, 1).0, Sent::from([(first.to_owned(), sent[first].clone())]));
        let twice = async || of_message(None, None).await;
        let twice = eventually(twice, |found| data(found).len() == 2).await;
        let triggers: Vec<&Value> = data(&twice).iter().map(|it| &it["triggerType"]).collect();
        assert_eq!(triggers, [1, 0]);
        ok("attempts: resend");
    }

    /// The messages that were tried.
    async fn tried(&self, Setup { app, endpoint, .. }: &Setup, sent: &Sent, first: &str) {
        type By = MessageAttemptListAttemptedMessagesOptions;
        let api = self.svix.message_attempt();
        let list = async |options: By| {
            answer(api.list_attempted_messages(app.clone(), endpoint.clone(), Some(options)).await)
        };
        let all = ids(&list(By::default()).await);
        assert_eq!(all.len(), sent.len());
        assert!(all.iter().all(|id| sent.contains_key(id)));
        let page = async |iterator| list(By { limit: Some(2), iterator, ..By::default() }).await;
        assert_pages(page, &all).await;
        let success = Some(MessageStatus::Success);
        let with =
            By { tag: some("first"), status: success, with_content: Some(true), ..By::default() };
        let found = list(with).await;
        let shown = fields(&data(&found)[0], &["id", "status", "payload"]);
        assert_eq!(shown, json!([first, 0, sent[first]]));
        let failed = By { status: Some(MessageStatus::Fail), ..By::default() };
        assert!(data(&list(failed).await).is_empty());
        ok("attempts: messages that were tried");
    }

    pub async fn refusals(&self, setup: &Setup, sent: &mut Sent) {
        let (api, app) = (self.svix.message_attempt(), setup.app.clone());
        let refusing = || "refusing".to_owned();
        let patch = input(json!({"disabled": false, "channels": ["refused"]}));
        done(self.svix.endpoint().patch(app.clone(), refusing(), patch).await);
        let message = json!({"eventType": self.event_type, "payload": {}, "channels": ["refused"]});
        let id = answer(self.svix.message().create(app.clone(), input(message), None).await);
        let id = text(&id["id"]);
        assert_eq!(self.receive(setup, 1).0, Sent::from([(id.clone(), json!({}))]));
        let refused = async || {
            let options = MessageAttemptListByEndpointOptions {
                status: Some(MessageStatus::Fail),
                status_code_class: Some(StatusCodeClass::Code5xx),
                ..Default::default()
            };
            answer(api.list_by_endpoint(app.clone(), refusing(), Some(options)).await)
        };
        let refused = eventually(refused, |found| data(found).len() == 1).await;
        let shown = fields(&data(&refused)[0], &["msgId", "responseStatusCode", "status"]);
        assert_eq!(shown, json!([id, 500, 2]));
        let waiting = answer(api.list_attempted_messages(app.clone(), refusing(), None).await);
        let waiting = &data(&waiting)[0];
        assert_eq!(fields(waiting, &["status", "statusText"]), json!([1, "pending"]));
        assert!(waiting["nextAttempt"].is_string());
        done(self.svix.endpoint().delete(app, refusing()).await);
        sent.insert(id, json!({}));
        ok("attempts: refused, and waiting for the next one");
    }

    pub async fn statistics(&self, Setup { app, endpoint, .. }: &Setup, sent: &Sent) {
        let api = self.svix.endpoint();
        let ends = json!(sent.len() + 1);
        let count =
            async |options| answer(api.get_stats(app.clone(), endpoint.clone(), options).await);
        let stats = eventually(async || count(None).await, |stats| stats["success"] == ends).await;
        let shown = fields(&stats, &["pending", "sending", "fail", "canceled"]);
        assert_eq!(shown, json!([0, 0, 0, 0]));
        let long_ago = EndpointGetStatsOptions { since: time(-48), until: time(-24) };
        assert_eq!(count(Some(long_ago)).await["success"], 0);
        if let Some(stats) = names::attempt_stats(&api, app.clone(), endpoint.clone()).await {
            assert_eq!(stats, json!({"success": ends, "fail": 0, "canceled": 0}));
        }
        ok("endpoint: statistics");
    }

    pub async fn examples(&self, setup: &Setup, sent: &mut Sent) {
        let example = input(json!({"eventType": self.event_type, "exampleIndex": 1}));
        let (app, endpoint) = (setup.app.clone(), setup.endpoint.clone());
        let message = self.svix.endpoint().send_example(app.clone(), endpoint, example, None).await;
        let message = answer(message);
        assert_eq!(message["eventType"], self.event_type.as_str());
        let id = text(&message["id"]);
        let expected = (id.clone(), json!({"order": 2}));
        assert_eq!(self.receive(setup, 1).0, Sent::from([expected.clone()]));
        // A replay sends only what is known to have ended.
        let api = self.svix.message_attempt();
        let attempts = async || answer(api.list_by_msg(app.clone(), id.clone(), None).await);
        eventually(attempts, |found| data(found).len() == 1).await;
        sent.extend([expected]);
        ok("endpoint: send an example");
    }

    async fn finished(&self, task: &Value, count: usize) {
        let id = text(&task["id"]);
        assert!(id.starts_with("qtask_"), "{task}");
        let api = self.svix.background_task();
        let ask = async || answer(api.get(id.clone()).await);
        let task_done = eventually(ask, |task| task["status"] == "finished").await;
        assert_eq!(task_done["task"], task["task"]);
        assert_eq!(task_done["data"]["messagesSent"], count);
    }

    pub async fn replays(&self, setup: &Setup, sent: &Sent) {
        let (api, app, endpoint) =
            (self.svix.endpoint(), setup.app.clone(), setup.endpoint.clone());
        let since = hours_from_now(-1);
        let whole = input(json!({"since": since}));
        let recovered = api.recover(app.clone(), endpoint.clone(), whole, None).await;
        self.finished(&answer(recovered), 0).await;
        let chosen = input(json!({"since": since, "status": 0, "eventTypes": [self.event_type]}));
        let replayed = api.bulk_replay(app.clone(), endpoint, chosen, None).await;
        self.finished(&answer(replayed), sent.len()).await;
        assert_eq!(self.receive(setup, sent.len()).0, *sent);
        ok("replays: recover, bulk replay, background task");

        let late = json!({"url": self.receiver.url, "uid": "late", "secret": setup.secret});
        answer(api.create(app.clone(), input(late), None).await);
        let whole = input(json!({"since": since}));
        let task = answer(api.replay_missing(app.clone(), "late".into(), whole, None).await);
        // An example is meant for one endpoint alone.
        let missed = sent.len() - 1;
        self.finished(&task, missed).await;
        let mut arrived = Sent::new();
        for _ in 0..missed {
            let delivery = self.receiver.next();
            arrived.insert(
                delivery.headers["webhook-id"].to_str().expect("an id").to_owned(),
                json!({}),
            );
        }
        assert_eq!(arrived.len(), missed);
        let options = BackgroundTaskListOptions {
            limit: Some(1),
            status: Some(BackgroundTaskStatus::Finished),
            task: Some(input(task["task"].clone())),
            ..Default::default()
        };
        let tasks = answer(self.svix.background_task().list(Some(options)).await);
        assert_eq!(ids(&tasks), [text(&task["id"])]);
        done(api.delete(app, "late".into()).await);
        ok("replays: what a new endpoint missed, list of background tasks");
    }

    pub async fn contents(&self, app: &str, sent: &Sent, first: &str) {
        let (api, app, first) = (self.svix.message_attempt(), app.to_owned(), first.to_owned());
        let attempt =
            ids(&answer(api.list_by_msg(app.clone(), first.clone(), None).await))[0].clone();
        done(api.expunge_content(app.clone(), first.clone(), attempt.clone()).await);
        done(self.svix.message().expunge_content(app.clone(), first.clone()).await);
        let options = MessageGetOptions { with_content: Some(true) };
        let shown =
            answer(self.svix.message().get(app.clone(), first.clone(), Some(options)).await);
        assert_ne!(shown["payload"], sent[&first]);
        let attempt = answer(api.get(app.clone(), first.clone(), attempt, None).await);
        assert_eq!(attempt["response"], "");
        let named = [&first[..], "nothing"];
        if let Some(results) = names::expunge_all(&self.svix.message(), app, named).await {
            assert_eq!(results["results"], json!({&first: "expunged", "nothing": "not-found"}));
        }
        ok("contents: expunge an attempt's, a message's, several messages'");
    }
}
