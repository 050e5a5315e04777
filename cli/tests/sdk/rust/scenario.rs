//! What a customer does with the unmodified SDK, against a running server.
//!
//! Arguments: the server's URL, a token, and the file that lists what the server offers. Prints one line
//! for each step, `ok …` or `FAILED …`, and stops at the first failure, because each step builds on those
//! before it.

use std::{env, fs, panic, process};

use crate::customer::{Customer, done, ok, status_of};

pub async fn play() {
    panic::set_hook(Box::new(|failure| {
        let place = failure.location().map(|at| format!("{}:{}", at.file(), at.line()));
        let message = failure.payload_as_str().unwrap_or_default().replace('\n', " ");
        println!("FAILED  {}: {message}", place.unwrap_or_default());
        process::exit(1);
    }));
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [server_url, token, operations] = &arguments[..] else {
        panic!("expected: SERVER_URL TOKEN OPERATIONS");
    };
    let operations = fs::read_to_string(operations).expect("the list of operations");
    let customer = Customer::new(server_url.clone(), token.clone(), &operations);
    done(customer.svix.health().get().await);
    ok("health");
    let app = customer.applications().await;
    customer.event_types().await;
    let setup = customer.endpoints(app).await;
    let (mut sent, first) = customer.messages(&setup.app).await;
    customer.deliveries(&setup, &sent);
    customer.attempts(&setup, &sent, &first).await;
    customer.refusals(&setup, &mut sent).await;
    customer.statistics(&setup, &sent).await;
    customer.examples(&setup, &mut sent).await;
    customer.replays(&setup, &sent).await;
    customer.contents(&setup.app, &sent, &first).await;
    customer.operational_webhooks().await;
    customer.access(&setup.app).await;

    let (endpoints, applications) = (customer.svix.endpoint(), customer.svix.application());
    done(endpoints.delete(setup.app.clone(), setup.endpoint.clone()).await);
    assert_eq!(status_of(endpoints.get(setup.app.clone(), setup.endpoint).await), 404);
    done(applications.delete(setup.app.clone()).await);
    assert_eq!(status_of(applications.get(setup.app).await), 404);
    done(customer.svix.event_type().delete(customer.event_type.clone(), None).await);
    assert!(customer.receiver.is_empty(), "more deliveries than messages");
    ok("delete, and what is gone is gone");
}
