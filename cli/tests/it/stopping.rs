//! How a process ends.

use crate::{
    api::Api,
    process::{Engine, Site},
    receiver::Receiver,
};

#[actix_rt::test]
async fn what_is_under_way_may_end() {
    let site = Site::new(Engine::Embedded);
    let mut process = site.start(&[]);
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process), Receiver::hesitating());
    api.subscribe(&receiver.url()).await;
    let first = api.publish("1").await;
    assert_eq!(receiver.next().await.id(), first);
    process.signal("TERM");
    assert_eq!(process.not_ready().await, "stopping\n");
    receiver.answer();
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());

    let process = site.start(&[]);
    process.ready().await;
    let second = Api::of(&process).publish("2").await;
    assert_eq!(receiver.next().await.id(), second, "the first one was written down as delivered");
    process.stop();
}

#[actix_rt::test]
async fn a_second_signal_ends_it_at_once() {
    let site = Site::new(Engine::Embedded);
    let mut process = site.start(&[]);
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process), Receiver::hesitating());
    api.subscribe(&receiver.url()).await;
    api.publish("1").await;
    receiver.next().await;
    process.signal("INT");
    assert_eq!(process.not_ready().await, "stopping\n");
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(1), "it did not wait for the receiver");
}
