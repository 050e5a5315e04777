//! Messages of a page of attempts or dead letters, read at once: one question to the store for all of
//! them, never one for each.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use shared::{
    domain::{Message, MessageHeader},
    id::{AppId, MessageId},
    store::{ErrorKind, StoreError},
};

use super::{Api, list::ListQuery, message::fits};
use crate::error::Result;

/// Records that are read with one call: each may have the size of a request's body.
const AT_ONCE: usize = 50;

impl Api {
    /// These messages, as far as their bodies live.
    pub(super) async fn messages(
        &self,
        app: AppId,
        ids: &[MessageId],
    ) -> Result<HashMap<MessageId, Message>> {
        let mut found = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let records = self.store.records(app, ids).await?;
            for record in records.into_iter().flatten() {
                let message = Message::decode(&record).map_err(|error| {
                    StoreError::caused_by(ErrorKind::Corrupt, "a message cannot be read", error)
                })?;
                if message.header.app == app {
                    found.insert(message.header.id, message);
                }
            }
        }
        Ok(found)
    }
}

/// The filters of a list that look at an entry's message.
pub(super) struct MessageFilter<'a> {
    api: &'a Api,
    app: AppId,
    query: &'a ListQuery,
    /// Of the entries that were read so far; one that even the log has forgotten is missing.
    headers: RefCell<HashMap<MessageId, MessageHeader>>,
}

impl<'a> MessageFilter<'a> {
    pub(super) fn new(api: &'a Api, app: AppId, query: &'a ListQuery) -> Self {
        Self { api, app, query, headers: RefCell::default() }
    }

    /// Reads the messages of a page, if there is a filter that looks at them.
    pub(super) async fn learn(&self, ids: impl Iterator<Item = MessageId>) -> Result<()> {
        if self.query.asks_message() {
            let ids: BTreeSet<_> = ids.collect();
            let messages =
                self.api.messages(self.app, &Vec::from_iter(ids.iter().copied())).await?;
            for id in ids.iter().filter(|id| !messages.contains_key(id)) {
                if let Some(header) = self.api.logged(self.app, *id).await? {
                    self.headers.borrow_mut().insert(*id, header);
                }
            }
            let headers = messages.into_iter().map(|(id, message)| (id, message.header));
            self.headers.borrow_mut().extend(headers);
        }
        Ok(())
    }

    /// Whether a message passes, which it does not once it is forgotten.
    pub(super) fn passes(&self, id: MessageId) -> bool {
        let headers = self.headers.borrow();
        !self.query.asks_message()
            || headers.get(&id).is_some_and(|header| fits(header, self.query))
    }
}
