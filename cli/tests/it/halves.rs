//! Gateway and dispatcher as processes of their own, over one Redis.

use crate::{
    api::{Api, SECRET},
    process::{Engine, Site},
    receiver::Receiver,
};

#[actix_rt::test]
async fn a_message_waits_for_a_dispatcher() {
    let site = Site::new(Engine::Redis);
    let gateway = site.start(&["gateway"]);
    gateway.ready().await;
    let (api, mut receiver) = (Api::of(&gateway), Receiver::start());
    api.subscribe(&receiver.url()).await;
    let message = api.publish(r#"{"hello":"world"}"#).await;
    let dispatcher = site.start(&["dispatcher"]);
    dispatcher.ready().await;
    let arrival = receiver.next().await;
    arrival.verify(SECRET);
    assert_eq!(arrival.id(), message);
    dispatcher.stop();
    gateway.stop();
}

#[actix_rt::test]
async fn another_dispatcher_takes_over() {
    let site = Site::new(Engine::Redis);
    let gateway = site.start(&["gateway"]);
    let first = site.start(&["dispatcher"]);
    gateway.ready().await;
    let (api, mut receiver) = (Api::of(&gateway), Receiver::start());
    api.subscribe(&receiver.url()).await;
    let before = api.publish("1").await;
    assert_eq!(receiver.next().await.id(), before);
    first.signal("KILL");
    let after = api.publish("2").await;
    let second = site.start(&["dispatcher"]);
    // The first one may have had no time to write down how its last attempt ended.
    let mut arrived = receiver.next().await;
    if arrived.id() == before {
        arrived = receiver.next().await;
    }
    assert_eq!(arrived.id(), after);
    second.stop();
    gateway.stop();
}

#[actix_rt::test]
async fn what_one_gateway_wrote_the_others_know() {
    let site = Site::new(Engine::Redis);
    let (first, second) = (site.start(&["gateway"]), site.start(&["gateway"]));
    let dispatcher = site.start(&["dispatcher"]);
    first.ready().await;
    second.ready().await;
    let (one, other) = (Api::of(&first), Api::of(&second));
    let (mut old, mut new) = (Receiver::start(), Receiver::start());
    one.subscribe(&old.url()).await;
    // Now the second one has the application with its one endpoint in its cache.
    let message = other.publish("1").await;
    assert_eq!(old.next().await.id(), message);
    one.endpoint(&new.url()).await;
    let message = other.publish("2").await;
    assert_eq!(old.next().await.id(), message);
    assert_eq!(new.next().await.id(), message);
    for process in [first, second, dispatcher] {
        process.stop();
    }
}
