use std::collections::HashSet;

use loadtests::{
    journal::BodyHash,
    ledger::{Account, Destinations, Flush, Ledger, Outcome},
    verify::{Delivered, Verdict, Violation, verify},
};

const DESTINATIONS: [&str; 2] = ["/ok?a", "/fail/1?b"];

/// Three messages: one acknowledged, one refused, one whose answer was lost.
async fn account() -> Account {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let destinations = Destinations::from([("app".into(), DESTINATIONS.map(Into::into).into())]);
    let ledger = Ledger::create(&path, destinations, Flush::Disk).unwrap();
    for key in ["acked", "refused", "ambiguous"] {
        ledger.intend(key, "app", BodyHash::of(key.as_bytes())).await.unwrap();
    }
    ledger.conclude("acked", Outcome::Acked { message: "msg_1".into() }).unwrap();
    ledger.conclude("refused", Outcome::Refused { reason: "503".into() }).unwrap();
    ledger.conclude("ambiguous", Outcome::Ambiguous { reason: "timeout".into() }).unwrap();
    ledger.close().unwrap();
    Account::read(&path).unwrap()
}

fn arrival(webhook_id: &str, path: &str, body: &str) -> Delivered {
    Delivered {
        webhook_id: webhook_id.into(),
        path: path.into(),
        sha256: BodyHash::of(body.as_bytes()),
        accepted: true,
    }
}

/// The acknowledged message at both destinations.
fn complete() -> Vec<Delivered> {
    DESTINATIONS.map(|path| arrival("msg_1", path, "acked")).into()
}

async fn verdict(arrivals: &[Delivered]) -> Verdict {
    verify(&account().await, arrivals, &HashSet::new())
}

#[actix_rt::test]
async fn an_account_that_agrees_has_no_violations() {
    let verdict = verdict(&complete()).await;
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.acked, verdict.refused, verdict.duplicates), (1, 1, 0));
    assert_eq!(verdict.ambiguous_absent, ["ambiguous"]);
}

#[actix_rt::test]
async fn a_lost_message_is_found_unless_it_is_parked() {
    let mut arrivals = complete();
    arrivals[1].accepted = false;
    let lost = Violation::Lost {
        key: "acked".into(),
        message: "msg_1".into(),
        destination: "/fail/1?b".into(),
    };
    assert_eq!(verdict(&arrivals).await.violations, [lost]);

    let parked = HashSet::from([("msg_1".into(), "/fail/1?b".into())]);
    assert_eq!(verify(&account().await, &arrivals, &parked).violations, []);
}

#[actix_rt::test]
async fn a_refused_message_that_came_is_found() {
    let mut arrivals = complete();
    arrivals.push(arrival("msg_2", "/ok?a", "refused"));
    let violation = Violation::RefusedDelivered { key: "refused".into() };
    assert_eq!(verdict(&arrivals).await.violations, [violation]);
}

#[actix_rt::test]
async fn an_ambiguous_message_came_everywhere_or_nowhere() {
    let mut arrivals = complete();
    arrivals.push(arrival("msg_3", "/ok?a", "ambiguous"));
    let half = Violation::Half { key: "ambiguous".into(), destination: "/fail/1?b".into() };
    assert_eq!(verdict(&arrivals).await.violations, [half]);

    arrivals.push(arrival("msg_3", "/fail/1?b", "ambiguous"));
    let verdict = verdict(&arrivals).await;
    assert_eq!(verdict.violations, []);
    assert_eq!(verdict.ambiguous_delivered, ["ambiguous"]);
}

#[actix_rt::test]
async fn a_changed_body_is_found() {
    let mut arrivals = complete();
    arrivals.push(arrival("msg_1", "/ok?a", "acke"));
    let corrupt = Violation::Corrupt { webhook_id: "msg_1".into(), path: "/ok?a".into() };
    assert_eq!(verdict(&arrivals).await.violations, [corrupt]);
}

#[actix_rt::test]
async fn a_message_published_twice_or_under_another_id_is_found() {
    let mut arrivals = complete();
    arrivals.push(arrival("msg_9", "/ok?a", "acked"));
    let violations = verdict(&arrivals).await.violations;
    assert!(matches!(&violations[0], Violation::Doubled { ids, .. } if ids.len() == 2));
    let exchanged = Violation::Exchanged { key: "acked".into(), webhook_id: "msg_9".into() };
    assert_eq!(violations[1], exchanged);
}

#[actix_rt::test]
async fn duplicates_are_counted_for_each_delivery() {
    let mut arrivals = complete();
    arrivals.extend(complete());
    arrivals.push(arrival("msg_1", "/ok?a", "acked"));
    assert_eq!(verdict(&arrivals).await.duplicates, 3);
}

#[actix_rt::test]
async fn the_last_word_of_a_ledger_counts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let ledger = Ledger::create(&path, Destinations::new(), Flush::System).unwrap();
    let ambiguous = Outcome::Ambiguous { reason: "timeout".into() };
    let refused = Outcome::Refused { reason: "503".into() };
    let acked = Outcome::Acked { message: "msg_1".into() };
    for key in ["unanswered", "repeated", "still open"] {
        ledger.intend(key, "app", BodyHash::of(key.as_bytes())).await.unwrap();
    }
    ledger.conclude("repeated", ambiguous.clone()).unwrap();
    ledger.conclude("repeated", acked.clone()).unwrap();
    ledger.conclude("still open", ambiguous.clone()).unwrap();
    ledger.conclude("still open", refused).unwrap();
    ledger.close().unwrap();

    // The sender died in the middle of a line.
    let mut file = std::fs::read(&path).unwrap();
    file.extend_from_slice(br#"{"intent":{"key":"to"#);
    std::fs::write(&path, file).unwrap();

    let outcomes: Vec<_> =
        Account::read(&path).unwrap().entries.into_iter().map(|entry| entry.outcome).collect();
    assert!(matches!(&outcomes[0], Outcome::Ambiguous { .. }));
    assert_eq!(outcomes[1..], [acked, ambiguous]);
}
