//! Lists: pages with iterators, forward and back, under filters.
//!
//! An iterator is a place in the list and a direction: `n_` and `p_` before the store's cursor.

use std::time::Duration;

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::DeadReason,
    store::{Cursor, ErrorKind, Order, Page, PageRequest, SharedStore},
    time::Millis,
};

use super::{
    attempt::Status,
    openapi::{Name, Time},
};
use crate::error::{ApiError, Result};

const DEFAULT_LIMIT: usize = 50;
pub(super) const MAX_LIMIT: usize = 250;
/// How many pages one request looks through for entries that pass its filters. A list that is not
/// done then goes on behind the last one looked at, even if the page is empty.
const MAX_PAGES: usize = 8;
/// The greatest number of a status: 3 is sending and 4 cancelled, which nothing here ever is.
const MAX_STATUS: u8 = 4;
/// The times that lists show are those of gateways and dispatchers, their order is that in which the store was
/// told: these differ by less than so much.
const SKEW: Duration = Duration::from_secs(60);
const NEXT: &str = "n_";
const PREVIOUS: &str = "p_";
/// The place at the end that a direction starts from.
const END: Cursor = Cursor(String::new());

/// What lists can be asked for. Each list takes what fits it and ignores the rest.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Most entries of the page.
    #[schemars(range(min = 1, max = MAX_LIMIT), extend("default" = DEFAULT_LIMIT))]
    limit: Option<usize>,
    /// Where to go on: what a page of this list named as its `iterator` or, for going back,
    /// `prevIterator`.
    #[schemars(length(min = 1))]
    iterator: Option<String>,
    order: Option<Ordering>,
    /// Only what is older than this time.
    #[schemars(with = "Option<Time>")]
    before: Option<String>,
    /// Only what is newer than this time.
    #[schemars(with = "Option<Time>")]
    after: Option<String>,
    /// Only attempts with this status: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.
    #[schemars(with = "Option<Status>")]
    pub(super) status: Option<u8>,
    /// Only attempts with an answer of this class, such as 400.
    pub(super) status_code_class: Option<u16>,
    /// Only what has this channel.
    pub(super) channel: Option<String>,
    /// Only what has this tag.
    pub(super) tag: Option<String>,
    /// Only messages of these types, comma-joined.
    #[schemars(with = "Option<Vec<Name>>")]
    event_types: Option<String>,
    /// Only attempts at this endpoint, by id or uid.
    pub(super) endpoint_id: Option<String>,
    /// Only what concerns this application, by id or uid.
    pub(super) app_id: Option<String>,
    /// Whether payloads, responses or schemas are shown.
    pub(super) with_content: Option<bool>,
    /// Whether attempts show their messages.
    pub(super) with_msg: Option<bool>,
    /// Whether event types that were archived are listed.
    pub(super) include_archived: Option<bool>,
    /// Whether applications without endpoints are left out.
    pub(super) exclude_apps_with_no_endpoints: Option<bool>,
    /// Whether applications with an endpoint that is disabled are left out.
    pub(super) exclude_apps_with_disabled_endpoints: Option<bool>,
    /// Only what was given up for this reason.
    pub(super) reason: Option<DeadReason>,
}

/// Whether the oldest or the newest comes first.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Ordering {
    Ascending,
    Descending,
}

impl ListQuery {
    /// A wish for a page, without filters.
    pub(super) fn of_page(
        limit: Option<usize>,
        iterator: Option<String>,
        order: Option<Ordering>,
    ) -> Self {
        Self { limit, iterator, order, ..Self::default() }
    }

    /// The wanted event types; empty means all.
    pub(super) fn event_types(&self) -> Vec<&str> {
        let joined = self.event_types.as_deref().unwrap_or_default();
        joined.split(',').filter(|name| !name.is_empty()).collect()
    }

    /// The order, where the client may choose it.
    pub(super) fn order(&self, default: Order) -> Order {
        match self.order {
            Some(Ordering::Ascending) => Order::OldestFirst,
            Some(Ordering::Descending) => Order::NewestFirst,
            None => default,
        }
    }

    /// Whether a filter looks at the message of an entry.
    pub(super) fn asks_message(&self) -> bool {
        self.channel.is_some() || self.tag.is_some() || !self.event_types().is_empty()
    }

    /// Where a list that is sorted by time begins, so that it is not read from its end to find those of
    /// some time ago. Nobody's iterator is touched.
    pub(super) fn skip(&self, page: PageRequest, store: &SharedStore) -> PageRequest {
        match page.after {
            Some(_) => page,
            None => PageRequest { after: self.edge(page.order).map(|at| store.since(at)), ..page },
        }
    }

    /// Before that, in this order, nothing passes `before` and `after`.
    fn edge(&self, order: Order) -> Option<Millis> {
        let time = |text: Option<&String>| text.and_then(|text| parse_time(text));
        match order {
            Order::NewestFirst => time(self.before.as_ref()).map(|before| before.after(SKEW)),
            Order::OldestFirst => time(self.after.as_ref())
                .map(|after| Millis(after.0.saturating_sub(SKEW.as_millis() as u64))),
        }
    }

    /// Payloads and responses are shown unless the client says no.
    pub(super) fn with_content(&self) -> bool {
        self.with_content.unwrap_or(true)
    }

    /// A filter that nothing can ever pass is a mistake.
    fn check(&self) -> Result<()> {
        if self.status.is_some_and(|status| status > MAX_STATUS) {
            return Err(ApiError::query("status", format!("expected 0 to {MAX_STATUS}")));
        }
        if self.status_code_class.is_some_and(|class| class % 100 != 0 || class > 500) {
            let msg = "expected 0, 100, 200, 300, 400 or 500";
            return Err(ApiError::query("status_code_class", msg));
        }
        Ok(())
    }

    fn limit(&self) -> Result<usize> {
        match self.limit {
            None => Ok(DEFAULT_LIMIT),
            Some(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            Some(_) => Err(ApiError::query("limit", format!("expected 1 to {MAX_LIMIT}"))),
        }
    }

    fn time(text: Option<&String>, name: &'static str) -> Result<Option<Millis>> {
        let Some(text) = text else { return Ok(None) };
        let time = parse_time(text).map(Some);
        time.ok_or_else(|| ApiError::query(name, "expected an RFC 3339 time"))
    }

    /// Where to start, and whether it goes back.
    fn start(&self) -> Result<(Option<Cursor>, bool)> {
        let Some(iterator) = self.iterator.as_deref() else { return Ok((None, false)) };
        let place = |cursor: &str| Some(Cursor(cursor.to_owned())).filter(|place| *place != END);
        if let Some(cursor) = iterator.strip_prefix(NEXT) {
            return Ok((place(cursor), false));
        }
        match iterator.strip_prefix(PREVIOUS) {
            Some(cursor) => Ok((place(cursor), true)),
            None => Err(not_of_this_list()),
        }
    }
}

fn not_of_this_list() -> ApiError {
    ApiError::query("iterator", "not an iterator of this list")
}

/// Reads a time. SDKs of languages with naive times send them without offset, and mean UTC.
pub(super) fn parse_time(text: &str) -> Option<Millis> {
    Millis::parse(text).or_else(|| Millis::parse(&format!("{text}Z")))
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ListResponse_{T}_")]
pub(super) struct Listed<T> {
    pub(super) data: Vec<T>,
    /// Whether nothing comes behind it.
    done: bool,
    /// Leads to the page behind.
    iterator: Option<String>,
    /// Leads to the page before.
    prev_iterator: Option<String>,
}

impl<T> Listed<T> {
    /// The response, each entry as `show` makes it.
    pub(super) fn respond<'a, U: Serialize>(
        &'a self,
        show: impl FnMut(&'a T) -> U,
    ) -> Result<HttpResponse> {
        Ok(HttpResponse::Ok().json(Listed {
            data: self.data.iter().map(show).collect(),
            done: self.done,
            iterator: self.iterator.clone(),
            prev_iterator: self.prev_iterator.clone(),
        }))
    }
}

/// Collects one page: fetches until enough entries pass `keep`, the list ends, or it has looked
/// through enough. `time` is what `before` and `after` compare.
pub(super) async fn gather<T>(
    query: &ListQuery,
    order: Order,
    fetch: impl AsyncFn(PageRequest) -> Result<Page<T>>,
    time: impl Fn(&T) -> Option<Millis>,
    keep: impl AsyncFn(&T) -> Result<bool>,
) -> Result<Listed<T>> {
    query.check()?;
    let limit = query.limit()?;
    let before = ListQuery::time(query.before.as_ref(), "before")?;
    let after = ListQuery::time(query.after.as_ref(), "after")?;
    let (start, back) = query.start()?;
    let order = if back { reversed(order) } else { order };

    let (mut place, mut first) = (start, None);
    let mut data = Vec::new();
    let mut done = false;
    'pages: for _ in 0..MAX_PAGES {
        let page = fetch(PageRequest { after: place.clone(), order, limit }).await;
        let page = page.map_err(|error| match error {
            ApiError::Store(error) if error.kind() == ErrorKind::NoPlace => not_of_this_list(),
            other => other,
        })?;
        let last_page = page.done;
        let mut entries = page.entries.into_iter().peekable();
        while let Some((cursor, entry)) = entries.next() {
            let at = time(&entry);
            let too_new = at.zip(before).is_some_and(|(at, before)| at >= before);
            let too_old = at.zip(after).is_some_and(|(at, after)| at <= after);
            let past_the_end = match order {
                Order::NewestFirst => too_old,
                Order::OldestFirst => too_new,
            };
            if past_the_end {
                done = true;
                break 'pages;
            }
            first.get_or_insert_with(|| cursor.clone());
            place = Some(cursor);
            if !too_new && !too_old && keep(&entry).await? {
                data.push(entry);
            }
            if data.len() == limit {
                done = last_page && entries.peek().is_none();
                break 'pages;
            }
        }
        if last_page {
            done = true;
            break;
        }
    }
    // Beyond the end there is no place to come back from: so it is come back from the end itself.
    let came_from = if first.is_none() && done { Some(END) } else { None };
    let (mut next, mut previous) = (place.clone(), came_from.or(first).or(place));
    if back {
        data.reverse();
        std::mem::swap(&mut next, &mut previous);
    }
    Ok(Listed {
        data,
        done,
        iterator: next.map(|Cursor(cursor)| format!("{NEXT}{cursor}")),
        prev_iterator: previous.map(|Cursor(cursor)| format!("{PREVIOUS}{cursor}")),
    })
}

fn reversed(order: Order) -> Order {
    match order {
        Order::NewestFirst => Order::OldestFirst,
        Order::OldestFirst => Order::NewestFirst,
    }
}

/// A page of what is in memory: entries sorted by key, the smallest being the oldest.
pub(super) fn page_of<T>(sorted: Vec<(String, T)>, request: &PageRequest) -> Page<T> {
    let entries = sorted.into_iter();
    let entries: Box<dyn Iterator<Item = (String, T)>> = match request.order {
        Order::OldestFirst => Box::new(entries),
        Order::NewestFirst => Box::new(entries.rev()),
    };
    let behind = |key: &str| match (&request.after, request.order) {
        (None, _) => true,
        (Some(Cursor(after)), Order::OldestFirst) => key > after.as_str(),
        (Some(Cursor(after)), Order::NewestFirst) => key < after.as_str(),
    };
    let mut entries = entries.filter(|(key, _)| behind(key)).peekable();
    let mut page = Vec::new();
    while page.len() < request.limit {
        let Some((key, entry)) = entries.next() else { break };
        page.push((Cursor(key), entry));
    }
    Page { entries: page, done: entries.peek().is_none() }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
