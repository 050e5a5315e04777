//! Lanes: what their owners read, and the way to what they write.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    Embedded, documents::version, fan_out, keys, reader::LaneReader, settle, settle::Prepared,
    tables::Table, view::Lookup,
};
use crate::{
    domain::{Destination, ORDERED_STRANDS, Queue, Strand},
    id::{AppId, EndpointId},
    placement::Lane,
    store::{
        AgendaPage, Ask, Depth, Due, Entry, EntryId, Expand, Expanded, Fence, Fetch, Fetched, Head,
        InFront, Lanes, Park, Parked, Reader, Result, Settle, Settled,
    },
};

#[async_trait::async_trait]
impl Lanes for Embedded {
    async fn reader(&self) -> Result<Box<dyn Reader>> {
        Ok(Box::new(LaneReader(Arc::clone(&self.core))))
    }

    async fn page(
        &self,
        lane: Lane,
        after: EntryId,
        limit: usize,
    ) -> Result<Vec<(EntryId, Entry)>> {
        self.core.view()?.entries(lane, after, limit)
    }

    async fn fetch(&self, fetches: &[Fetch]) -> Result<Vec<Fetched>> {
        let view = self.core.view()?;
        let mut answers = Vec::with_capacity(fetches.len());
        for Fetch { fence, deliveries } in fetches {
            let mut records = Vec::with_capacity(deliveries.len());
            let mut versions = BTreeMap::new();
            for delivery in deliveries {
                records.push(view.body(delivery.app, delivery.message)?);
                if let Some(version) = version(&view, delivery.app)? {
                    versions.insert(delivery.app, version);
                }
            }
            // Last, so that what is held now was held all the while: epochs never come back.
            answers.push(if self.core.leases.lock().holds(fence) {
                Fetched::Held { records, versions }
            } else {
                Fetched::Fenced
            });
        }
        Ok(answers)
    }

    async fn park(&self, fence: &Fence, parks: &[Park]) -> Result<Option<Vec<Parked>>> {
        let (fence, parks) = (fence.clone(), parks.to_vec());
        self.writer.write(false, move |draft| settle::park(draft, &fence, &parks)).await
    }

    async fn forget(&self, fence: &Fence, entries: &[EntryId]) -> Result<Option<()>> {
        let (fence, entries) = (fence.clone(), entries.to_vec());
        self.writer.write(false, move |draft| settle::forget(draft, &fence, &entries)).await
    }

    async fn expand(&self, fence: &Fence, expand: &Expand) -> Result<Option<Expanded>> {
        self.core.has_room()?;
        let (fence, expand) = (fence.clone(), expand.clone());
        self.writer.write(false, move |draft| fan_out::expand(draft, &fence, &expand)).await
    }

    async fn due(&self, fence: &Fence, asks: &[Ask]) -> Result<Option<Vec<Due>>> {
        let view = self.core.view()?;
        let answers = asks.iter().map(|ask| view.due(ask)).collect::<Result<Vec<_>>>()?;
        Ok(self.core.leases.lock().holds(fence).then_some(answers))
    }

    async fn settle(&self, batch: &[Settle]) -> Result<Vec<Option<Vec<Settled>>>> {
        let now = self.core.clock.now();
        let prepare = |settle| Prepared::new(settle, now);
        let batch = batch.iter().map(prepare).collect::<Result<Vec<_>>>()?;
        self.writer
            .write(false, move |draft| {
                batch.iter().map(|prepared| settle::settle(draft, prepared)).collect()
            })
            .await
    }

    async fn agenda(&self, lane: Lane, from: Option<&str>, limit: usize) -> Result<AgendaPage> {
        self.agenda_page(lane, from, limit)
    }

    async fn states(&self, app: AppId, endpoints: &[EndpointId]) -> Result<Vec<Option<Bytes>>> {
        let view = self.core.view()?;
        let state = |endpoint: &EndpointId| {
            let state = view.get(Table::Documents, keys::state(app, *endpoint))?;
            Ok(state.map(|state| Bytes::copy_from_slice(&state)))
        };
        endpoints.iter().map(state).collect()
    }

    async fn heads(&self, of: Destination) -> Result<Vec<Head>> {
        let view = self.core.view()?;
        let queues = (0..ORDERED_STRANDS).map(|number| of.queue(Strand::Ordered(number)));
        queues.filter_map(|queue| view.head(queue).transpose()).collect()
    }

    async fn front(&self, queue: Queue, limit: usize) -> Result<Vec<InFront>> {
        self.core.view()?.front(queue, limit)
    }

    async fn depths(&self, queues: &[Queue]) -> Result<Vec<Depth>> {
        let view = self.core.view()?;
        queues.iter().map(|queue| view.depth(*queue)).collect()
    }

    async fn waiting(&self, queue: Queue) -> Result<u64> {
        self.core.usable()?;
        Ok(self.core.agenda.lock().get(queue).map_or(0, |planned| planned.waiting))
    }
}
