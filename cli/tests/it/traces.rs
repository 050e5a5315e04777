//! A message's trace, from the producer through the store to the receiver.

use std::collections::HashSet;

use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use rstest::rstest;

use crate::{
    api::Api,
    collector::{Collector, Exported},
    process::{Deployment, Engine, Form, Site, get},
    receiver::{Arrival, Receiver},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PRODUCER: &str = "b7ad6b7169203331";
const STATE: &str = "vendor=a,other@b=c";
const MESSAGE: &str = r#"{"eventType": "demo.greeted", "payload": {"hello": "world"}}"#;

/// The header of the producer's span.
fn parent(sampled: bool) -> String {
    format!("00-{TRACE}-{PRODUCER}-0{}", u8::from(sampled))
}

/// Settings that export to a collector, and begin traces for this share of the messages.
fn exporting(collector: &Collector, ratio: &str) -> Vec<(&'static str, String)> {
    vec![
        ("SLUICEGATE_TRACES__ENDPOINT", collector.url()),
        ("SLUICEGATE_TRACES__HEADERS", "x-key=k=1".into()),
        ("SLUICEGATE_TRACES__SAMPLE_RATIO", ratio.into()),
        ("SLUICEGATE_TRACES__ATTRIBUTES", "deployment.environment.name=test".into()),
    ]
}

async fn deploy(site: &Site, form: Form, settings: &[(&'static str, String)]) -> Deployment {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let deployment = site.deploy_with(form, &settings);
    deployment.ready().await;
    deployment
}

fn named<'a>(spans: &'a [Exported], name: &str) -> Vec<&'a Exported> {
    let mut found: Vec<_> = spans.iter().filter(|it| it.span.name == name).collect();
    found.sort_by_key(|it| it.span.start_time_unix_nano);
    found
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole, ["all-in-one"; 2])]
#[case::redis_in_halves(Engine::Redis, Form::Halves, ["gateway", "dispatcher"])]
#[actix_rt::test]
async fn one_trace_leads_from_the_producer_to_the_receiver(
    #[case] engine: Engine,
    #[case] form: Form,
    #[case] roles: [&str; 2],
) {
    let (site, mut collector) = (Site::new(engine), Collector::start());
    // Nothing but the producer's trace is recorded.
    let deployment = deploy(&site, form, &exporting(&collector, "0.0")).await;
    let (api, mut receiver) = (Api::of(&deployment.gateway), Receiver::failing(1));
    let endpoint = api.subscribe(&receiver.url()).await;
    let headers = [("traceparent", parent(true)), ("tracestate", STATE.into())];
    let message = api.publish_with("app/demo/msg", MESSAGE, &headers).await["id"].to_string();
    let arrivals = [receiver.next().await, receiver.next().await];

    let spans = collector.trace(TRACE, 8).await;
    let [ingest] = named(&spans, "ingest")[..] else { panic!("{spans:#?}") };
    let [publish] = named(&spans, "publish")[..] else { panic!("{spans:#?}") };
    assert_eq!(ingest.parent(), PRODUCER);
    assert_eq!(ingest.attributes["http.response.status_code"], "202");
    assert_eq!(ingest.attributes["http.route"], "/api/v1/app/{app}/msg");
    assert_eq!(publish.parent(), ingest.id());
    assert_eq!(ingest.span.kind(), SpanKind::Server);
    assert_eq!(publish.span.kind(), SpanKind::Producer);

    // Each attempt has a branch of its own from the publication on.
    let (pulls, attempts) = (named(&spans, "pull"), named(&spans, "attempt"));
    let settles = named(&spans, "settle");
    assert_eq!([pulls.len(), attempts.len(), settles.len()], [2; 3], "{spans:#?}");
    for (place, arrival) in arrivals.iter().enumerate() {
        let (pull, attempt, settle) = (pulls[place], attempts[place], settles[place]);
        assert_eq!(pull.parent(), publish.id());
        assert_eq!(attempt.parent(), pull.id());
        assert_eq!(settle.parent(), attempt.id());
        let kinds = [SpanKind::Consumer, SpanKind::Client, SpanKind::Internal];
        assert_eq!([pull, attempt, settle].map(|it| it.span.kind()), kinds);
        // Across the queue there is a link, too.
        for span in [pull, attempt] {
            assert_eq!(span.span.links.len(), 1);
            assert_eq!(span.span.links[0].span_id, publish.span.span_id);
        }
        for span in [pull, attempt, settle] {
            assert_eq!(span.attributes["sluicegate.endpoint"], endpoint);
            assert_eq!(format!("{:?}", span.attributes["messaging.message.id"]), message);
        }
        assert_eq!(attempt.attributes["sluicegate.attempt"], (place + 1).to_string());
        assert_eq!(attempt.attributes["server.address"], "127.0.0.1");
        // The receiver's span goes below that attempt.
        let told = format!("00-{TRACE}-{}-01", attempt.id());
        assert_eq!((arrival.header("traceparent"), arrival.header("tracestate")), (&*told, STATE));
    }
    let failed = |it: &Exported| it.span.status.as_ref().map(|status| status.code());
    assert_eq!(
        attempts.iter().map(|it| failed(it)).collect::<Vec<_>>(),
        [Some(StatusCode::Error), None]
    );
    assert_eq!(attempts[0].attributes["error.type"], "server_error");
    let verdicts: Vec<_> = settles.iter().map(|it| &it.attributes["sluicegate.verdict"]).collect();
    assert_eq!(verdicts, ["retry", "delivered"]);

    for span in &spans {
        assert_eq!(span.span.trace_state, STATE);
        assert!(span.span.start_time_unix_nano <= span.span.end_time_unix_nano);
        let place = usize::from(!["ingest", "publish"].contains(&span.span.name.as_str()));
        assert_eq!(span.resource["sluicegate.role"], roles[place]);
        assert_eq!(span.resource["service.name"], "sluicegate");
        assert_eq!(span.resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(span.resource["deployment.environment.name"], "test");
    }
    let ids: HashSet<_> = spans.iter().map(Exported::id).collect();
    assert_eq!(ids.len(), spans.len());
    let instances: HashSet<_> =
        spans.iter().map(|span| &span.resource["service.instance.id"]).collect();
    assert_eq!(instances.len(), deployment.all().count());

    // And nothing for what nobody traces.
    api.publish("1").await;
    assert!(receiver.next().await.get("traceparent").is_none());
    deployment.stop();
    assert!(collector.rest().is_empty());
}

#[actix_rt::test]
async fn a_trace_begins_here_where_the_producer_began_none() {
    // It is busy at first: what it does not take is sent again.
    let (site, mut collector) = (Site::new(Engine::Embedded), Collector::refusing(1));
    let deployment = deploy(&site, Form::Whole, &exporting(&collector, "1.0")).await;
    let (api, mut receiver) = (Api::of(&deployment.gateway), Receiver::start());
    api.subscribe(&receiver.url()).await;
    let batch = format!("[{MESSAGE}, {MESSAGE}]");
    api.publish_with("app/demo/msg/batch", &batch, &[]).await;
    let arrivals = [receiver.next().await, receiver.next().await];

    let first = collector.next().await;
    let mut spans = collector.trace(&first.trace(), 8).await;
    spans.push(first);
    let [ingest] = named(&spans, "ingest")[..] else { panic!("{spans:#?}") };
    assert_eq!(ingest.parent(), "");
    let published: HashSet<_> = named(&spans, "publish").iter().map(|it| it.id()).collect();
    let pulled: HashSet<_> = named(&spans, "pull").iter().map(|it| it.parent()).collect();
    assert_eq!((published.len(), &published), (2, &pulled));
    let attempted: HashSet<_> = named(&spans, "attempt").iter().map(|it| it.id()).collect();
    let told = arrivals.map(|it| it.header("traceparent")[36..52].to_owned());
    assert_eq!(attempted, told.into());

    // An unsampled trace stays one, whoever records here: it is passed on as it came.
    api.publish_with("app/demo/msg", MESSAGE, &[("traceparent", parent(false))]).await;
    assert_eq!(receiver.next().await.header("traceparent"), parent(false));
    // Strangers fill no collector.
    let stranger = Api::with_token(&deployment.gateway, "nobody");
    let headers = [("traceparent", parent(true))];
    assert_eq!(stranger.try_publish("app/demo/msg", MESSAGE, &headers).await.0, 401);
    deployment.stop();
    assert!(collector.rest().is_empty());
}

#[rstest]
#[case::passed_on("true", "true", true)]
#[case::not_taken_over("false", "true", false)]
#[case::not_told("true", "false", false)]
#[actix_rt::test]
async fn without_a_collector_the_producers_context_is_passed_on_as_it_is(
    #[case] accept: &str,
    #[case] send: &str,
    #[case] told: bool,
) {
    let site = Site::new(Engine::Embedded);
    let settings = [
        ("SLUICEGATE_TRACES__ACCEPT", accept.to_owned()),
        ("SLUICEGATE_TRACES__SEND", send.to_owned()),
    ];
    let deployment = deploy(&site, Form::Whole, &settings).await;
    let (api, mut receiver) = (Api::of(&deployment.gateway), Receiver::start());
    api.subscribe(&receiver.url()).await;
    let send = async |headers: &[(&str, String)], receiver: &mut Receiver| {
        api.publish_with("app/demo/msg", MESSAGE, headers).await;
        receiver.next().await
    };
    let shown = |arrival: &Arrival, name| arrival.get(name).map(str::to_owned);
    let headers = [("traceparent", parent(true)), ("tracestate", STATE.into())];
    let arrival = send(&headers, &mut receiver).await;
    assert_eq!(shown(&arrival, "traceparent"), told.then(|| parent(true)));
    assert_eq!(shown(&arrival, "tracestate"), told.then(|| STATE.to_owned()));
    // What is no context is none.
    let broken = [("traceparent", parent(true).to_uppercase()), ("tracestate", STATE.into())];
    let arrival = send(&broken, &mut receiver).await;
    assert!(arrival.get("traceparent").is_none() && arrival.get("tracestate").is_none());
    deployment.stop();
}

#[actix_rt::test]
async fn a_collector_that_is_down_holds_up_nothing_and_what_is_lost_is_counted() {
    let site = Site::new(Engine::Embedded);
    let settings = [
        // Nobody listens there.
        ("SLUICEGATE_TRACES__ENDPOINT", "http://127.0.0.1:1".to_owned()),
        ("SLUICEGATE_TRACES__SAMPLE_RATIO", "1".to_owned()),
        ("SLUICEGATE_TRACES__QUEUE", "2".to_owned()),
    ];
    let deployment = deploy(&site, Form::Whole, &settings).await;
    let (api, mut receiver) = (Api::of(&deployment.gateway), Receiver::start());
    api.subscribe(&receiver.url()).await;
    let batch = format!("[{}]", vec![MESSAGE; 50].join(","));
    api.publish_with("app/demo/msg/batch", &batch, &[]).await;
    for _ in 0..50 {
        receiver.next().await;
    }
    let (_, metrics) = get(&deployment.gateway.admin("/metrics")).await;
    let dropped = r#"sluicegate_trace_spans_dropped_total{reason="queue_full"} "#;
    let line = metrics.lines().find_map(|line| line.strip_prefix(dropped));
    assert!(line.is_some_and(|count| count.parse::<u64>().unwrap() > 0), "{metrics}");
    deployment.stop();
}
