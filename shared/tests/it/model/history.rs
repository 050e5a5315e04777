//! History.

use bytes::Bytes;
use shared::{
    domain::{Attempt, DeadLetter, Destination, HOUR_MS, Queue, Tally},
    id::{AppId, AttemptId, MessageId},
    store::{Cursor, History, LogEntry, Order, Page, PageRequest, Purge, Result},
    time::Millis,
};

use super::{Model, State};

/// Part of a list that is given in ascending order, each entry with the text of its place.
pub(super) fn page<T>(
    list: impl DoubleEndedIterator<Item = (String, T)>,
    request: &PageRequest,
) -> Page<T> {
    let mut list: Vec<_> = list.map(|(place, entry)| (Cursor(place), entry)).collect();
    if request.order == Order::NewestFirst {
        list.reverse();
    }
    if let Some(after) = &request.after {
        let behind = |place: &Cursor| match request.order {
            Order::NewestFirst => place.0 < after.0,
            Order::OldestFirst => place.0 > after.0,
        };
        list.retain(|(place, _)| behind(place));
    }
    let done = list.len() <= request.limit;
    list.truncate(request.limit);
    Page { entries: list, done }
}

/// Those of a log that are wanted, at their places in it.
fn wanted<'a, T: Clone + 'a>(
    log: &'a [T],
    wants: impl Fn(&T) -> bool + 'a,
) -> impl DoubleEndedIterator<Item = (String, T)> + 'a {
    let places = log.iter().enumerate();
    places
        .filter(move |(_, entry)| wants(entry))
        .map(|(place, entry)| (format!("{place:09}"), entry.clone()))
}

fn entries<A, T>(page: Page<(A, T)>) -> Page<T> {
    let entries = page.entries.into_iter().map(|(cursor, (_, entry))| (cursor, entry)).collect();
    Page { entries, done: page.done }
}

#[async_trait::async_trait]
impl History for Model {
    async fn message(&self, app: AppId, message: MessageId) -> Result<Option<Bytes>> {
        Ok(self.state().bodies.get(&(app, message)).map(|body| body.record.clone()))
    }

    async fn find_key(&self, app: AppId, key: &str) -> Result<Option<MessageId>> {
        Ok(self.state().keys.get(&(app, key.into())).map(|key| key.message))
    }

    async fn messages(&self, app: AppId, request: &PageRequest) -> Result<Page<LogEntry>> {
        let state = self.state();
        Ok(page(wanted(&state.log, move |header| header.app == app), request))
    }

    async fn endpoint_attempts(
        &self,
        queue: Queue,
        request: &PageRequest,
    ) -> Result<Page<Attempt>> {
        let state = self.state();
        let list = wanted(&state.attempts, move |(app, attempt)| {
            *app == queue.app && attempt.endpoint == queue.endpoint
        });
        Ok(entries(page(list, request)))
    }

    async fn message_attempts(
        &self,
        app: AppId,
        message: MessageId,
        request: &PageRequest,
    ) -> Result<Page<Attempt>> {
        let state = self.state();
        let list =
            wanted(&state.attempts, move |(of, attempt)| *of == app && attempt.message == message);
        Ok(entries(page(list, request)))
    }

    async fn expunge_responses(
        &self,
        app: AppId,
        message: MessageId,
        attempt: Option<AttemptId>,
    ) -> Result<bool> {
        let mut state = self.state();
        let mut any = false;
        for (of, found) in &mut state.attempts {
            let wanted = attempt.is_none_or(|attempt| attempt == found.id);
            if *of == app && found.message == message && wanted {
                found.response.clear();
                any = true;
            }
        }
        Ok(any)
    }

    async fn dead_letters(&self, queue: Queue, request: &PageRequest) -> Result<Page<DeadLetter>> {
        let state = self.state();
        Ok(entries(page(state.letters(queue), request)))
    }

    async fn dead_letter(&self, queue: Queue, place: &Cursor) -> Result<Option<DeadLetter>> {
        let state = self.state();
        let mut letters = state.letters(queue);
        Ok(letters.find(|(found, _)| *found == place.0).map(|(_, (_, letter))| letter))
    }

    async fn purge_dead_letters(&self, queue: Queue, which: &Purge) -> Result<u64> {
        let mut state = self.state();
        let chosen = |place: &str, letter: &DeadLetter| match which {
            Purge::One(wanted) => wanted.0 == place,
            Purge::Before(time) => letter.at < *time,
        };
        let places: Vec<usize> = state
            .letters(queue)
            .filter(|(place, (_, letter))| chosen(place, letter))
            .filter_map(|(place, _)| place.parse().ok())
            .collect();
        state.purged.extend(&places);
        Ok(places.len() as u64)
    }

    async fn tally(&self, of: Destination, from: Millis, to: Millis) -> Result<Tally> {
        let mut all = Tally::default();
        let hours = from.0 / HOUR_MS..=to.0 / HOUR_MS;
        for hour in hours {
            all += self.state().tallies.get(&(of, hour)).copied().unwrap_or_default();
        }
        Ok(all)
    }

    fn since(&self, _: Millis) -> Cursor {
        Cursor(String::new())
    }
}

impl State {
    fn letters(
        &self,
        queue: Queue,
    ) -> impl DoubleEndedIterator<Item = (String, (AppId, DeadLetter))> {
        let letters = self.dead.iter().enumerate().filter(move |(place, (app, letter))| {
            *app == queue.app && letter.endpoint == queue.endpoint && !self.purged.contains(place)
        });
        letters.map(|(place, letter)| (format!("{place:09}"), letter.clone()))
    }
}
