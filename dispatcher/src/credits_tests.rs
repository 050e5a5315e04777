use std::sync::mpsc;

use super::*;

const ROOM: usize = 1 << 20;

/// What is given to those who wait, in order.
struct Waiting {
    credits: Credits,
    sender: mpsc::Sender<Permit>,
    given: mpsc::Receiver<Permit>,
}

impl Waiting {
    fn new(credits: &Credits) -> Self {
        let (sender, given) = mpsc::channel();
        Self { credits: credits.clone(), sender, given }
    }

    fn wants(&self, app: AppId, proven: bool) {
        let sender = self.sender.clone();
        self.credits.want(app, proven, move |permit| drop(sender.send(permit)));
    }

    /// To whom permits were given since.
    fn given(&self) -> (Vec<AppId>, Vec<Permit>) {
        self.given.try_iter().map(|permit| (permit.app, permit)).unzip()
    }
}

fn take_all(credits: &Credits, app: AppId, proven: bool) -> Vec<Permit> {
    std::iter::from_fn(|| credits.try_take(app, proven)).collect()
}

#[test]
fn a_dropped_permit_comes_back() {
    let (credits, app) = (Credits::new(2, ROOM), AppId::new());
    let mut held = take_all(&credits, app, true);
    assert_eq!(held.len(), 2);
    held.pop();
    assert!(credits.try_take(app, true).is_some());
    held.clear();
    assert!(credits.book.lock().shares.is_empty());
}

#[test]
fn the_unproven_share_half() {
    let (credits, app) = (Credits::new(4, ROOM), AppId::new());
    let held = take_all(&credits, app, false);
    assert_eq!(held.len(), 2);
    assert!(credits.try_take(app, true).is_some());
}

#[test]
fn those_who_wait_get_turns_by_application() {
    let (credits, [great, small, other]) = (Credits::new(40, ROOM), [(); 3].map(|()| AppId::new()));
    let mut held = take_all(&credits, other, true);
    let waiting = Waiting::new(&credits);
    (0..5).for_each(|_| waiting.wants(great, true));
    waiting.wants(small, true);
    assert!(waiting.given().0.is_empty());
    held.truncate(36);
    let (given, _held) = waiting.given();
    assert_eq!(given, [great, small, great, great]);
}

#[test]
fn an_application_gets_no_more_than_a_quarter_while_others_want_some() {
    let (credits, great, other) = (Credits::new(8, ROOM), AppId::new(), AppId::new());
    let mut of_great = take_all(&credits, great, true);
    assert_eq!(of_great.len(), 8, "nobody else wants any");
    let waiting = Waiting::new(&credits);
    (0..9).for_each(|_| waiting.wants(great, true));
    (0..9).for_each(|_| waiting.wants(other, true));
    let mut of_other = Vec::new();
    for _ in 0..2 {
        of_great.pop();
        let (given, held) = waiting.given();
        assert_eq!(given, [other]);
        of_other.extend(held);
    }
    // Both have a quarter, or more: they share what is left by turns.
    of_great.truncate(2);
    let (given, held) = waiting.given();
    let of = |app: AppId| given.iter().filter(|one| **one == app).count();
    assert_eq!((of(great), of(other)), (2, 2));
    assert!(credits.try_take(great, true).is_none());
    drop((held, of_other, of_great));
}

#[test]
fn who_may_have_none_holds_up_nobody() {
    let (credits, failing, healthy) = (Credits::new(4, ROOM), AppId::new(), AppId::new());
    let _held = take_all(&credits, failing, false);
    let waiting = Waiting::new(&credits);
    waiting.wants(failing, false);
    assert!(credits.try_take(healthy, true).is_some());
    assert!(waiting.given().0.is_empty());
    // Beyond its quarter, but nobody else can take it.
    let more = take_all(&credits, healthy, true);
    assert_eq!(more.len(), 1, "its quarter, as others wait");
    waiting.wants(healthy, true);
    assert_eq!(waiting.given().0, [healthy]);
}

#[test]
fn what_nobody_wants_any_more_goes_to_the_next() {
    let (credits, app, other) = (Credits::new(1, ROOM), AppId::new(), AppId::new());
    let held = credits.try_take(app, true);
    credits.want(app, true, drop);
    let waiting = Waiting::new(&credits);
    waiting.wants(other, true);
    drop(held);
    assert_eq!(waiting.given().0, [other]);
}

#[test]
fn bodies_are_weighed() {
    let (credits, app) = (Credits::new(4, 10 * 1024), AppId::new());
    let mut permits = take_all(&credits, app, true);
    assert!(credits.weigh(&mut permits[0], 6 * 1024));
    assert!(!credits.weigh(&mut permits[1], 6 * 1024));
    permits.remove(0);
    assert!(credits.weigh(&mut permits[0], 6 * 1024));
}

#[test]
fn one_body_greater_than_the_pool_can_still_pass() {
    let credits = Credits::new(1, 1024);
    let mut permit = credits.try_take(AppId::new(), true).unwrap();
    assert!(credits.weigh(&mut permit, 1 << 20));
}

#[tokio::test]
async fn small_bodies_do_not_pass_a_great_one_that_waits() {
    let (credits, app) = (Credits::new(4, 10 * 1024), AppId::new());
    let [mut small, mut great, mut next, _] =
        <[Permit; 4]>::try_from(take_all(&credits, app, true)).ok().unwrap();
    assert!(credits.weigh(&mut small, 2 * 1024));
    assert!(!credits.weigh(&mut great, 9 * 1024));
    let mut room = Box::pin(credits.make_room(&mut great, 9 * 1024));
    assert!(futures_util::poll!(&mut room).is_pending());
    assert!(!credits.weigh(&mut next, 1024), "although there is room for it");
    drop(small);
    room.await;
    assert!(credits.weigh(&mut great, 9 * 1024), "its room is kept until its body is read again");
    assert!(credits.weigh(&mut next, 1024));
}
