//! What the engine leaves in the server.

use std::time::Duration;

use shared::{
    domain::{Delivery, Limit, Strand},
    store::{Bucket, Entry, Metered, NudgeKind, Park, Place, Settled, Take, Target, Verdict},
};

use super::{Home, deliver};

fn all_keys(client: &mut ::redis::Connection) -> Vec<String> {
    ::redis::cmd("KEYS").arg("*").query(client).unwrap()
}

#[tokio::test]
async fn at_rest_only_what_expires_or_is_fixed_in_number_stays() {
    let home = Home::safe().await;
    let tenant = home.bench.tenant(1).await;
    let (delivered, retried) = (tenant.deliver().await, tenant.deliver().await);
    assert_eq!(deliver(&home.bench, &tenant, delivered).await, Settled::Done);
    let fence = home.bench.own(tenant.lane()).await;
    let place = Place::Stream(home.bench.entry_of(retried).await);
    let retry = Verdict::Retry { delay: Duration::ZERO, steps: 1 };
    home.bench.settle(&fence, retried, place, 1, retry).await;
    home.bench.settle(&fence, retried, Place::Waiting, 2, Verdict::Delivered).await;
    let mut ordered = tenant.publication_to(&[]);
    let strand = Strand::Ordered(0);
    let target = Target { endpoint: tenant.endpoints[0], strand, not_before: None };
    ordered.targets = vec![target];
    let ordered_delivery = Delivery { strand, ..tenant.delivery(ordered.header.id, 0) };
    home.bench.store.publish(vec![ordered]).await.unwrap();
    let entry = home.bench.entry_of(ordered_delivery).await;
    let park = Park { entry, delivery: ordered_delivery, delay: Some(Duration::ZERO) };
    home.bench.store.park(&fence, &[park]).await.unwrap();
    home.bench.settle(&fence, ordered_delivery, Place::Waiting, 1, Verdict::Delivered).await;
    let nudges: Vec<_> =
        home.bench.stream(tenant.lane()).await.into_iter().map(|(id, _)| id).collect();
    home.bench.store.forget(&fence, &nudges).await.unwrap();

    let limit = Limit { count: 1.try_into().unwrap(), per: Duration::from_secs(1), burst: None };
    let bucket = Bucket::Application(tenant.app);
    let buckets = vec![Metered { bucket, version: 1, limits: vec![limit] }];
    home.bench.store.take(&Take { buckets, cells: 1, spread: Duration::ZERO }).await.unwrap();

    let mut client = home.client();
    for key in all_keys(&mut client) {
        let kind = key.split(':').nth(1).unwrap();
        let fixed = ["app", "lease", "layout", "seq"].contains(&kind);
        let life: i64 = ::redis::cmd("PTTL").arg(&key).query(&mut client).unwrap();
        let length: usize = if kind == "lane" {
            ::redis::cmd("XLEN").arg(&key).query(&mut client).unwrap()
        } else {
            0
        };
        assert!(fixed || life > 0 || (kind == "lane" && length == 0), "{key} stays for ever");
    }
}

#[tokio::test]
async fn members_stay_small() {
    let home = Home::safe().await;
    let tenant = home.bench.tenant(1).await;
    let delivery = tenant.deliver().await;
    let fence = home.bench.own(tenant.lane()).await;
    home.bench.park(&fence, &[delivery]).await;
    let mut client = home.client();
    let mut seen = 0;
    for key in all_keys(&mut client) {
        let kind: String = ::redis::cmd("TYPE").arg(&key).query(&mut client).unwrap();
        if kind == "zset" {
            let members: Vec<String> =
                ::redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).query(&mut client).unwrap();
            assert!(members.iter().all(|member| member.len() <= 48), "{key}: {members:?}");
            seen += members.len();
        }
    }
    assert_eq!(seen, 2, "the waiting set and the agenda");
}

#[tokio::test]
async fn what_a_newer_version_wrote_is_left_alone() {
    let home = Home::safe().await;
    let tenant = home.bench.tenant(1).await;
    let lane = tenant.lane();
    let stream = format!("{{{}}}:lane:{lane}", lane.shard().tag());
    let add = ::redis::cmd("XADD").arg(stream).arg("*").arg("z").arg("new").clone();
    add.exec(&mut home.client()).unwrap();

    let fence = home.bench.own(lane).await;
    let entries = home.bench.stream(lane).await;
    let ids: Vec<_> = entries.iter().map(|(id, _)| *id).collect();
    let nudge = Entry::Nudge { queue: tenant.queue(0), kind: NudgeKind::Changed };
    assert_eq!(entries[0].1, nudge);
    assert_eq!(entries[1].1, Entry::Unknown);
    home.bench.store.forget(&fence, &ids).await.unwrap();
    assert_eq!(home.bench.stream(lane).await, entries[1..]);
}
