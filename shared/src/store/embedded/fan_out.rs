//! Fan-outs: the next deliveries, and the cursor, in one write.

use super::{draft::Draft, keys, records, settle::holds, tables::Table, view::Lookup};
use crate::{
    domain::{Delivery, Generation},
    store::{Entry, Expand, Expanded, FanOut, Fence, Result, Target},
};

pub(super) fn expand(
    draft: &mut Draft<'_>,
    fence: &Fence,
    expand: &Expand,
) -> Result<Option<Expanded>> {
    if !holds(draft, fence) {
        return Ok(None);
    }
    let entry = keys::entry(fence.lane, expand.entry);
    let found = draft.get(Table::Streams, &entry)?.map(|record| records::decode_entry(&record));
    if found != Some(Entry::FanOut(expand.fan_out)) {
        return Ok(Some(Expanded::NotThere));
    }
    let FanOut { app, message, .. } = expand.fan_out;
    for Target { endpoint, strand, not_before } in &expand.targets {
        let generation = Generation::default();
        let delivery = Delivery { app, endpoint: *endpoint, strand: *strand, message, generation };
        draft.append(delivery.lane(), records::encode_delivery(&delivery, *not_before));
    }
    draft.remove(Table::Streams, entry);
    draft.begin_deliveries(app, message, expand.targets.len())?;
    match expand.rest() {
        Some(rest) => draft.append(fence.lane, records::encode_fan_out(&rest)),
        None => draft.end_delivery(app, message, false)?,
    }
    Ok(Some(Expanded::Done))
}
