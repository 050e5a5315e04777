//! How long bodies live: while deliveries are open, and a while longer.

use super::view::View;
use super::{
    corrupt,
    draft::Draft,
    expiry::Expiring,
    keys,
    records::{Fields, Life},
    tables::Table,
    view::Lookup,
};
use crate::{
    id::{AppId, MessageId},
    store::Result,
};
use bytes::Bytes;

/// A message's life, whether it is over or not.
pub(super) fn life(of: &impl Lookup, app: AppId, message: MessageId) -> Result<Option<Life>> {
    match of.get(Table::Lives, keys::message(app, message))? {
        None => Ok(None),
        Some(record) => {
            Life::decode(&record).map(Some).ok_or_else(|| corrupt("the life of a message"))
        }
    }
}

impl View<'_> {
    /// A message's record, as long as it lives.
    pub(super) fn body(&self, app: AppId, message: MessageId) -> Result<Option<Bytes>> {
        match life(self, app, message)? {
            Some(life) if life.until > self.now => {
                let record = self.get(Table::Bodies, keys::message(app, message))?;
                Ok(record.map(|record| Bytes::copy_from_slice(&record)))
            }
            _ => Ok(None),
        }
    }
}

impl Draft<'_> {
    /// Sets a body's life. The expiry table always has exactly one deadline of each body.
    pub(super) fn live(&mut self, app: AppId, message: MessageId, old: Option<Life>, life: Life) {
        let key = keys::message(app, message);
        if old.map(|old| old.until) != Some(life.until) {
            if let Some(old) = old {
                self.unexpire(old.until, Expiring::Body, &key);
            }
            self.expire(life.until, Expiring::Body, &key);
        }
        self.put(Table::Lives, key, life.encode());
    }

    /// What counts towards an application's quota.
    pub(super) fn charged(&self, app: AppId) -> Result<u64> {
        match self.get(Table::Documents, keys::charged(app))? {
            None => Ok(0),
            Some(bytes) => Fields(&bytes).u64().ok_or_else(|| corrupt("a count of bytes")),
        }
    }

    /// Sets it.
    pub(super) fn charge(&mut self, app: AppId, bytes: u64) {
        match bytes {
            0 => self.remove(Table::Documents, keys::charged(app)),
            bytes => self.put(Table::Documents, keys::charged(app), bytes.to_be_bytes()),
        }
    }

    /// Gives back what counts no more.
    pub(super) fn give_back(&mut self, app: AppId, bytes: u64) -> Result<()> {
        if bytes > 0 {
            let charged = self.charged(app)?;
            self.charge(app, charged.saturating_sub(bytes));
        }
        Ok(())
    }

    /// So many more of the message's deliveries are open. Its body lives no longer for it.
    pub(super) fn begin_deliveries(
        &mut self,
        app: AppId,
        message: MessageId,
        count: usize,
    ) -> Result<()> {
        let Some(old) = life(self, app, message)? else { return Ok(()) };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let life = Life { open: old.open.saturating_add(count), ..old };
        self.live(app, message, Some(old), life);
        Ok(())
    }

    /// One of the message's deliveries has ended. The last one shortens its body's life, though never
    /// below what a dead letter needs.
    pub(super) fn end_delivery(
        &mut self,
        app: AppId,
        message: MessageId,
        died: bool,
    ) -> Result<()> {
        let Some(old) = life(self, app, message)? else { return Ok(()) };
        let lifetimes = self.core.lifetimes;
        let mut life = Life { open: old.open.saturating_sub(1), ..old };
        if died {
            life.kept = self.now.after(lifetimes.history);
        }
        if life.open == 0 {
            self.give_back(app, std::mem::take(&mut life.charged))?;
            life.until = self.now.after(life.retention(lifetimes.retention));
        }
        life.until = life.until.max(life.kept);
        self.live(app, message, Some(old), life);
        Ok(())
    }
}
