//! What each route is called, takes and answers. In the order of `routes.rs`, and with one line there for
//! each route here: a test compares them.

use serde_json::Value;

use super::document::Document;
use crate::api::{
    api_key::{ApiKeyIn, ApiKeyOut},
    application::{ApplicationIn, ApplicationOut, CreateQuery},
    attempt::AttemptOut,
    audit_log::EntryOut,
    background_task::{TaskOut, TaskQuery},
    comparison::{ComparisonIn, ComparisonOut},
    content::{ExpungedOut, MessagesIn},
    dead_letter::{DeadLetterOut, PurgeOut, PurgeQuery},
    endpoint::{EndpointIn, EndpointOut},
    endpoint_headers::{HeadersIn, HeadersOut, HeadersPatchIn},
    endpoint_message::EndpointMessageOut,
    endpoint_secret::{RotateIn, SecretOut},
    endpoint_state::StateOut,
    endpoint_stats::{AttemptStatsOut, StatsOut, WindowQuery},
    environment::{EnvironmentIn, EnvironmentOut},
    event_type::{DeleteQuery, EventTypeIn, EventTypeOut},
    event_type_import::{ImportIn, ImportOut},
    example::ExampleIn,
    list::Listed,
    message::{ContentQuery, MessageIn, MessageOut},
    message_batch::{BatchOut, MAX_MESSAGES},
    message_precheck::{PrecheckIn, PrecheckOut},
    named_limit::{NamedLimitIn, NamedLimitOut},
    portal::{ExchangeIn, ExchangeOut, ExpireIn, PortalAccessIn, PortalAccessOut},
    recipients::RecipientOut,
    replay::{DryRun, DryRunOut, SelectionIn},
    rewrap,
};

const IDEMPOTENCY_KEY: &str = "Makes repeating the request safe: 1 to 256 bytes.";

/// The whole document.
pub(super) fn all() -> Value {
    document().finish()
}

pub(super) fn document() -> Document {
    let mut api = Document::new();
    open_to_everybody(&mut api);
    api_keys(&mut api);
    applications(&mut api);
    endpoints(&mut api);
    operational_webhooks(&mut api);
    event_types(&mut api);
    named_limits(&mut api);
    messages(&mut api);
    attempts(&mut api);
    replays(&mut api);
    background_tasks(&mut api);
    secrets(&mut api);
    portal_access(&mut api);
    audit_log(&mut api);
    api
}

fn open_to_everybody(api: &mut Document) {
    api.tag("Health", "Open to everybody.");
    for (id, path) in [("health.get", "/health"), ("health.ping", "/health/ping")] {
        api.get(id, path, "Ask whether it answers").open().returns_nothing();
        api.head(&format!("{id}-head"), path, "Ask whether it answers").open().returns_nothing();
    }
    api.get("openapi.get", "/openapi.json", "Get this document").open().returns::<Value>(200);
}

fn api_keys(api: &mut Document) {
    api.tag("API key", "Tokens with a scope, which may be bound to one application.");
    let (all, one) = ("/sluicegate/api-key", "/sluicegate/api-key/{key}");
    api.get("sluicegate.api-key.list", all, "List API keys").lists::<ApiKeyOut<'_>>(&["order"]);
    api.post("sluicegate.api-key.create", all, "Create an API key")
        .describe("The answer is the only one that shows the key itself.")
        .body::<ApiKeyIn>()
        .returns::<ApiKeyOut<'_>>(201);
    api.get("sluicegate.api-key.get", one, "Get an API key").returns::<ApiKeyOut<'_>>(200);
    api.delete("sluicegate.api-key.delete", one, "End an API key")
        .describe("Gateways that have just seen it forget it within seconds.")
        .returns_nothing();
    api.post("sluicegate.api-key.rotate", &format!("{one}/rotate"), "Rotate an API key")
        .describe(
            "Makes another key with the same rights; the old one ends after `secret_overlap`.",
        )
        .returns::<ApiKeyOut<'_>>(201);
}

fn applications(api: &mut Document) {
    api.tag("Application", "The tenants: each has its endpoints and messages.");
    let (all, one) = ("/app", "/app/{app}");
    api.get("application.list", all, "List applications").lists::<ApplicationOut<'_>>(&["order"]);
    api.post("application.create", all, "Create an application")
        .query::<CreateQuery>()
        .body::<ApplicationIn>()
        .returns::<ApplicationOut<'_>>(200)
        .returns::<ApplicationOut<'_>>(201);
    api.get("application.get", one, "Get an application").returns::<ApplicationOut<'_>>(200);
    api.put("application.update", one, "Replace or create an application")
        .describe("A path that is no id is the uid of what is created.")
        .body::<ApplicationIn>()
        .returns::<ApplicationOut<'_>>(200)
        .returns::<ApplicationOut<'_>>(201);
    api.patch("application.patch", one, "Change an application")
        .change::<ApplicationIn>("ApplicationPatch")
        .returns::<ApplicationOut<'_>>(200);
    api.delete("application.delete", one, "Delete an application").returns_nothing();
    let pause = format!("{one}/pause");
    api.post("application.pause", &pause, "Hold everything back")
        .returns::<ApplicationOut<'_>>(200);
    let resume = format!("{one}/resume");
    api.post("application.resume", &resume, "Go on").returns::<ApplicationOut<'_>>(200);
}

fn endpoints(api: &mut Document) {
    api.tag("Endpoint", "Where the messages of an application go.");
    let one = "/app/{app}/endpoint/{endpoint}";
    endpoints_at(api, "endpoint", "/app/{app}/endpoint");
    api.post("endpoint.pause", &format!("{one}/pause"), "Hold everything back")
        .returns::<EndpointOut<'_>>(200);
    api.post("endpoint.resume", &format!("{one}/resume"), "Go on").returns::<EndpointOut<'_>>(200);
    api.get("endpoint.get-state", &format!("{one}/state"), "See what holds an endpoint up")
        .returns::<StateOut>(200);
    api.get("endpoint.get-stats", &format!("{one}/stats"), "Count deliveries by how they ended")
        .query::<WindowQuery>()
        .returns::<StatsOut>(200);
    let attempts = format!("{one}/attempt-stats");
    api.get("sluicegate.endpoint.get-attempt-stats", &attempts, "Count attempts by how they ended")
        .query::<WindowQuery>()
        .returns::<AttemptStatsOut>(200);
    api.post("endpoint.send-example", &format!("{one}/send-example"), "Send an example")
        .describe("Whatever the endpoint's filters say.")
        .header("idempotency-key", IDEMPOTENCY_KEY, 256)
        .query::<ContentQuery>()
        .body::<ExampleIn<'_>>()
        .returns::<MessageOut<'_>>(202);
    let messages = format!("{one}/msg");
    api.get("message-attempt.list-attempted-messages", &messages, "List messages that were tried")
        .lists::<EndpointMessageOut<'_>>(&[
        "before",
        "after",
        "status",
        "channel",
        "tag",
        "event_types",
        "with_content",
    ]);
}

fn operational_webhooks(api: &mut Document) {
    api.tag("Operational webhook", "The operator's endpoints, told of what happens to others.");
    endpoints_at(api, "operational-webhook.endpoint", "/operational-webhook/endpoint");
}

/// The same for applications and the operator.
fn endpoints_at(api: &mut Document, id: &str, all: &str) {
    let id = |name: &str| format!("{id}.{name}");
    let one = &format!("{all}/{{endpoint}}");
    api.get(&id("list"), all, "List endpoints").lists::<EndpointOut<'_>>(&["order"]);
    api.post(&id("create"), all, "Create an endpoint")
        .body::<EndpointIn>()
        .returns::<EndpointOut<'_>>(201);
    api.get(&id("get"), one, "Get an endpoint").returns::<EndpointOut<'_>>(200);
    api.put(&id("update"), one, "Replace or create an endpoint")
        .describe(
            "A path that is no id is the uid of what is created. Secret and headers are kept unless they \
             are given.",
        )
        .body::<EndpointIn>()
        .returns::<EndpointOut<'_>>(200)
        .returns::<EndpointOut<'_>>(201);
    api.patch(&id("patch"), one, "Change an endpoint")
        .change::<EndpointIn>("EndpointPatch")
        .returns::<EndpointOut<'_>>(200);
    api.delete(&id("delete"), one, "Delete an endpoint").returns_nothing();
    let headers = &format!("{one}/headers");
    api.get(&id("get-headers"), headers, "Get the headers of an endpoint")
        .returns::<HeadersOut<'_>>(200);
    api.put(&id("update-headers"), headers, "Replace the headers of an endpoint")
        .body::<HeadersIn>()
        .returns_nothing();
    api.patch(&id("patch-headers"), headers, "Change the headers of an endpoint")
        .body::<HeadersPatchIn>()
        .returns_nothing();
    let secret = &format!("{one}/secret");
    api.get(&id("get-secret"), secret, "Get the signing secret").returns::<SecretOut>(200);
    api.post(&id("rotate-secret"), &format!("{secret}/rotate"), "Rotate the signing secret")
        .body::<RotateIn>()
        .optional()
        .returns::<SecretOut>(200);
}

fn event_types(api: &mut Document) {
    api.tag("Event type", "Kinds of messages. A message may be of a kind that is not listed.");
    let (all, one) = ("/event-type", "/event-type/{name}");
    api.get("event-type.list", all, "List event types").lists::<EventTypeOut<'_>>(&[
        "order",
        "include_archived",
        "with_content",
    ]);
    api.post("event-type.create", all, "Create an event type")
        .describe("One that was archived comes back.")
        .body::<EventTypeIn>()
        .returns::<EventTypeOut<'_>>(201);
    api.get("event-type.get", one, "Get an event type").returns::<EventTypeOut<'_>>(200);
    api.put("event-type.update", one, "Replace or create an event type")
        .body::<EventTypeIn>()
        .returns::<EventTypeOut<'_>>(200)
        .returns::<EventTypeOut<'_>>(201);
    api.patch("event-type.patch", one, "Change an event type")
        .change::<EventTypeIn>("EventTypePatch")
        .returns::<EventTypeOut<'_>>(200);
    api.delete("event-type.delete", one, "Archive or remove an event type")
        .query::<DeleteQuery>()
        .returns_nothing();
    let import = &format!("{all}/import/openapi");
    api.post("event-type.import-openapi", import, "Make event types of an OpenAPI document")
        .describe("One for each of its webhooks.")
        .body::<ImportIn>()
        .returns::<ImportOut>(200);
    api.post("environment.export", "/environment/export", "Get what all applications share")
        .returns::<EnvironmentOut<'_>>(200);
    api.post("environment.import", "/environment/import", "Replace or create event types")
        .describe("Those that it does not name stay.")
        .body::<EnvironmentIn>()
        .returns_nothing();
}

fn named_limits(api: &mut Document) {
    api.tag("Limit", "Limits that endpoints of any application share by their name.");
    let (all, one) = ("/sluicegate/limit", "/sluicegate/limit/{name}");
    api.get("sluicegate.limit.list", all, "List limits").lists::<NamedLimitOut<'_>>(&["order"]);
    api.get("sluicegate.limit.get", one, "Get a limit").returns::<NamedLimitOut<'_>>(200);
    api.put("sluicegate.limit.update", one, "Replace or create a limit")
        .describe("It holds within a second.")
        .body::<NamedLimitIn>()
        .returns::<NamedLimitOut<'_>>(200)
        .returns::<NamedLimitOut<'_>>(201);
    api.delete("sluicegate.limit.delete", one, "Delete a limit").returns_nothing();
}

fn messages(api: &mut Document) {
    api.tag("Message", "What is sent to the endpoints of an application.");
    let (all, one) = ("/app/{app}/msg", "/app/{app}/msg/{message}");
    api.get("message.list", all, "List messages").lists::<MessageOut<'_>>(&[
        "before",
        "after",
        "channel",
        "tag",
        "event_types",
        "with_content",
    ]);
    api.post("message.create", all, "Publish a message")
        .describe(
            "An `Idempotency-Key` that comes again with the same body is answered as at first; with \
             another body 422. The header `Sluicegate-Durability` says what the answer promises.",
        )
        .header("idempotency-key", IDEMPOTENCY_KEY, 256)
        .query::<ContentQuery>()
        .body::<MessageIn<'_>>()
        .returns::<MessageOut<'_>>(202);
    api.post("sluicegate.message.create-batch", &format!("{all}/batch"), "Publish many messages")
        .describe(
            "Each is judged by itself. 202 if all were accepted, 200 if some were not: `data` says \
             what became of each, in their order.",
        )
        .header("idempotency-key", IDEMPOTENCY_KEY, 256)
        .batch::<MessageIn<'_>>(MAX_MESSAGES)
        .returns::<BatchOut>(200)
        .returns::<BatchOut>(202);
    let precheck = &format!("{all}/precheck/active");
    api.post("message.precheck", precheck, "Ask whether an endpoint would get a message")
        .body::<PrecheckIn>()
        .returns::<PrecheckOut>(200);
    let expunge = &format!("{all}/bulk-expunge");
    api.post("sluicegate.message.bulk-expunge", expunge, "Remove the content of messages")
        .describe("What is not found stops none of the others.")
        .body::<MessagesIn>()
        .returns::<ExpungedOut<'_>>(200);
    api.get("message.get", one, "Get a message")
        .query::<ContentQuery>()
        .returns::<MessageOut<'_>>(200);
    api.delete("message.expunge-content", &format!("{one}/content"), "Remove its content")
        .describe("What was not sent by then becomes a dead letter `expunged`.")
        .returns_nothing();
}

fn attempts(api: &mut Document) {
    api.tag("Message attempt", "What was tried, and the wish to try again.");
    let filters = [
        "before",
        "after",
        "status",
        "status_code_class",
        "channel",
        "tag",
        "event_types",
        "with_content",
        "with_msg",
    ];
    let one = "/app/{app}/msg/{message}/attempt/{attempt}";
    let by_endpoint = "/app/{app}/attempt/endpoint/{endpoint}";
    api.get("message-attempt.list-by-endpoint", by_endpoint, "List attempts at an endpoint")
        .lists::<AttemptOut<'_>>(&filters);
    let by_message = "/app/{app}/attempt/msg/{message}";
    api.get("message-attempt.list-by-msg", by_message, "List attempts to send a message")
        .lists::<AttemptOut<'_>>(&[&filters[..], &["endpoint_id"]].concat());
    api.get("message-attempt.get", one, "Get an attempt").returns::<AttemptOut<'_>>(200);
    api.delete("message-attempt.expunge-content", &format!("{one}/content"), "Remove its response")
        .returns_nothing();
    let recipients = "/app/{app}/msg/{message}/endpoint";
    let summary = "List the endpoints of a message";
    api.get("message-attempt.list-attempted-destinations", recipients, summary)
        .lists::<RecipientOut<'_>>(&[]);
    let resend = format!("{recipients}/{{endpoint}}/resend");
    api.post("message-attempt.resend", &resend, "Send a message to an endpoint again")
        .fails(&[410])
        .returns_empty(202);
}

fn replays(api: &mut Document) {
    api.tag("Replay", "Sending many messages again, and dead letters.");
    let endpoint = "/app/{app}/endpoint/{endpoint}";
    for (name, summary) in [
        ("recover", "Send dead letters of a time again"),
        ("replay-missing", "Send what nobody ever tried to send"),
        ("bulk-replay", "Send again what was tried"),
    ] {
        api.post(&format!("endpoint.{name}"), &format!("{endpoint}/{name}"), summary)
            .query::<DryRun>()
            .body::<SelectionIn>()
            .returns::<DryRunOut>(200)
            .returns::<TaskOut>(202);
    }
    let letters = &format!("{endpoint}/dead-letter");
    api.get("sluicegate.dead-letter.list", letters, "List dead letters").lists::<DeadLetterOut>(&[
        "order",
        "before",
        "after",
        "channel",
        "tag",
        "event_types",
        "reason",
    ]);
    api.delete("sluicegate.dead-letter.purge", letters, "Remove old dead letters")
        .query::<PurgeQuery>()
        .returns::<PurgeOut>(200);
    api.post("sluicegate.dead-letter.replay-all", &format!("{letters}/replay"), "Send all again")
        .query::<DryRun>()
        .change::<SelectionIn>("DeadLetterReplayIn")
        .optional()
        .returns::<DryRunOut>(200)
        .returns::<TaskOut>(202);
    let letter = &format!("{letters}/{{letter}}");
    api.get("sluicegate.dead-letter.get", letter, "Get a dead letter")
        .returns::<DeadLetterOut>(200);
    api.delete("sluicegate.dead-letter.delete", letter, "Remove a dead letter").returns_nothing();
    api.post("sluicegate.dead-letter.replay", &format!("{letter}/replay"), "Send it again")
        .fails(&[410])
        .returns_empty(202);
}

fn background_tasks(api: &mut Document) {
    api.tag("Background task", "What sends many messages again, and how far it is.");
    background_tasks_at(api, "background-task", "/background-task");
    background_tasks_at(api, "application.background-task", "/app/{app}/background-task");
}

/// The same for all, and for those of one application.
fn background_tasks_at(api: &mut Document, id: &str, all: &str) {
    let id = |name: &str| format!("{id}.{name}");
    let one = &format!("{all}/{{task}}");
    api.get(&id("list"), all, "List tasks").query::<TaskQuery>().returns::<Listed<TaskOut>>(200);
    api.get(&id("get"), one, "Get a task").returns::<TaskOut>(200);
    let cancel = &format!("{one}/cancel");
    api.post(&id("cancel"), cancel, "Cancel a task").returns::<TaskOut>(200);
    api.put(&id("cancel-by-put"), cancel, "Cancel a task").returns::<TaskOut>(200);
}

fn secrets(api: &mut Document) {
    api.tag("Secret", "Signing secrets and header values, as they are kept.");
    let rewrap = "/sluicegate/secrets/rewrap";
    api.post("sluicegate.secrets.rewrap", rewrap, "Seal all secrets with the first key")
        .describe(
            "A page of applications at a time: ask again with the `iterator` of the answer until it \
             is `done`. 409 where no key is configured.",
        )
        .query::<rewrap::Query>()
        .returns::<rewrap::Rewrapped>(200);
    let compare = "/sluicegate/secrets/compare";
    api.post("sluicegate.secrets.compare", compare, "Ask which endpoints have other secrets")
        .body::<ComparisonIn>()
        .returns::<ComparisonOut<'_>>(200);
}

fn audit_log(api: &mut Document) {
    api.tag("Audit log", "Which changes were made through the API, and by whom.");
    api.get("sluicegate.audit-log.list", "/sluicegate/audit-log", "List changes")
        .lists::<EntryOut<'_>>(&["order", "before", "after", "app_id"]);
}

fn portal_access(api: &mut Document) {
    api.tag("Authentication", "Access to the portal of one application.");
    for (id, path) in [
        ("authentication.app-portal-access", "/auth/app-portal-access/{app}"),
        ("authentication.dashboard-access", "/auth/dashboard-access/{app}"),
    ] {
        api.post(id, path, "Make a link to the portal, and a token")
            .body::<PortalAccessIn>()
            .optional()
            .returns::<PortalAccessOut<'_>>(200);
    }
    let exchange = "/auth/one-time-token";
    api.post("authentication.exchange-one-time-token", exchange, "Exchange a link's code")
        .describe("Open to everybody: the code, which is good once, is what is shown.")
        .without_token()
        .body::<ExchangeIn>()
        .returns::<ExchangeOut<'_>>(200);
    let expire = "/auth/app/{app}/expire-all";
    api.post("authentication.expire-all", expire, "End tokens of the portal")
        .body::<ExpireIn>()
        .optional()
        .returns_nothing();
    api.post("authentication.logout", "/auth/logout", "End the token that is shown")
        .describe("Only tokens of the portal can be ended so.")
        .fails(&[400])
        .returns_nothing();
}
