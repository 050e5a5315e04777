//! Calls of the store as values, so that they can be made on both sides, and made again.

use std::time::Duration;

use shared::{
    domain::{Progress, Task},
    id::{AppId, TaskId},
    placement::Lane,
    store::{
        Advanced, Begun, Change, EntryId, ErrorKind, Expand, Expanded, Fence, Lease, Owner, Park,
        Parked, Publication, Published, Resend, Resent, Settle, Settled, Step, Take, Version,
    },
};

use super::{HOUR, tasks::timeless, universe::Side};

#[derive(Clone, Debug)]
pub(super) enum Call {
    Publish(Vec<Publication>),
    Resend(Resend),
    Commit(AppId, Version, Box<Change>),
    Acquire(Lane, Owner, Option<Lease>),
    Renew(Fence),
    Release(Fence),
    Park(Fence, Vec<Park>),
    Forget(Fence, EntryId),
    Expand(Fence, Expand),
    Settle(Vec<Settle>),
    BeginTask(Task),
    CancelTask(TaskId),
    Advance(Fence, Box<Step>),
    Take(Take),
}

/// An answer without what differs between stores: epochs and versions.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Published(Vec<Published>),
    Resent(Resent),
    Committed,
    Acquired(bool),
    Renewed(Vec<bool>),
    Released,
    Parked(Option<Vec<Parked>>),
    Forgot(bool),
    Expanded(Option<Expanded>),
    Settled(Vec<Option<Vec<Settled>>>),
    Begun(Begun),
    Cancelled(Option<Progress>),
    Advanced(Advanced),
    /// When the cells are due, in gaps.
    Taken(Vec<u64>),
    Failed(ErrorKind),
}

impl Call {
    pub(super) async fn apply(&self, side: &Side) -> Answer {
        self.answer(side).await.unwrap_or_else(|error| Answer::Failed(error.kind()))
    }

    async fn answer(&self, side: &Side) -> shared::store::Result<Answer> {
        let store = &side.store;
        Ok(match self.clone() {
            Self::Publish(batch) => Answer::Published(store.publish(batch).await?),
            Self::Resend(resend) => Answer::Resent(store.resend(resend).await?),
            Self::Commit(app, version, change) => {
                store.commit(app, Some(version), &[*change]).await?;
                Answer::Committed
            }
            Self::Acquire(lane, owner, seen) => {
                let epoch = store.acquire(lane, &owner, seen.as_ref()).await?;
                Answer::Acquired(epoch.is_some())
            }
            Self::Renew(fence) => Answer::Renewed(store.renew(&[fence]).await?),
            Self::Release(fence) => {
                store.release(&fence).await?;
                Answer::Released
            }
            Self::Park(fence, parks) => Answer::Parked(store.park(&fence, &parks).await?),
            Self::Forget(fence, entry) => {
                Answer::Forgot(store.forget(&fence, &[entry]).await?.is_some())
            }
            Self::Expand(fence, expand) => Answer::Expanded(store.expand(&fence, &expand).await?),
            Self::Settle(batch) => Answer::Settled(store.settle(&batch).await?),
            Self::BeginTask(task) => Answer::Begun(store.begin_task(&task).await?),
            Self::CancelTask(task) => {
                let cancelled = store.cancel_task(task).await?;
                Answer::Cancelled(cancelled.map(|tracked| timeless(tracked.progress)))
            }
            Self::Advance(fence, step) => {
                Answer::Advanced(match store.advance_task(&fence, &step).await? {
                    Advanced::Now(progress) => Advanced::Now(timeless(progress)),
                    other => other,
                })
            }
            Self::Take(take) => {
                let cells = store.take(&take).await?.cells;
                Answer::Taken(cells.into_iter().map(in_gaps).collect())
            }
        })
    }
}

/// All buckets have gaps of an hour or two, and no test takes as long: what is left is the same in both
/// stores.
pub(super) fn in_gaps(delay: Duration) -> u64 {
    (delay.as_secs_f64() / (HOUR.as_secs_f64() / 0.99)).round() as u64
}
