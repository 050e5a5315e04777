//! The header of a message whose body is gone: the log remembers it for longer.

use shared::{
    domain::MessageHeader,
    id::{AppId, MessageId},
    store::{Order, PageRequest},
    time::Millis,
};

use super::Api;
use crate::error::Result;

/// How far the clock that made the id may be from the one that wrote the log, in milliseconds.
const SKEW_MS: u64 = 2_000;
/// How many messages of the log are looked at, in pages of so many.
const PAGE: usize = 250;
const MAX_PAGES: usize = 8;

impl Api {
    /// The header of a message whose body is gone, looked for in the log at the time when its id was
    /// made; among more than some thousand messages a second it may be missed.
    pub(super) async fn logged(&self, app: AppId, id: MessageId) -> Result<Option<MessageHeader>> {
        let made_at = id.made_at_ms();
        let since = self.store.since(Millis(made_at.saturating_sub(SKEW_MS)));
        let mut request =
            PageRequest { after: Some(since), order: Order::OldestFirst, limit: PAGE };
        for _ in 0..MAX_PAGES {
            let page = self.store.messages(app, &request).await?;
            let past = page
                .entries
                .last()
                .is_none_or(|(_, last)| last.created_at.0 > made_at.saturating_add(SKEW_MS));
            request.after = page.entries.last().map(|(cursor, _)| cursor.clone());
            if let Some((_, found)) = page.entries.into_iter().find(|(_, it)| it.id == id) {
                return Ok(Some(found));
            }
            if page.done || past {
                break;
            }
        }
        Ok(None)
    }
}
