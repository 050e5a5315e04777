//! All endpoints of a store, one after the other, for those who look at each.

use std::ops::ControlFlow;

use shared::{
    domain::Endpoint,
    id::AppId,
    operational,
    store::{Configuration, Order, PageRequest, Result, SharedStore},
};

/// Applications that are listed at once.
const PAGE: usize = 100;

/// Shows each endpoint to `look`, until that has seen enough. The operator's own come first.
pub(crate) async fn each(
    store: &SharedStore,
    mut look: impl FnMut(AppId, &Endpoint) -> ControlFlow<()>,
) -> Result<()> {
    let own = store.configuration(operational::APPLICATION).await?;
    if own.is_some_and(|own| show(&own, &mut look).is_break()) {
        return Ok(());
    }
    let mut request = PageRequest { after: None, order: Order::OldestFirst, limit: PAGE };
    loop {
        let page = store.applications(&request).await?;
        for (place, app) in page.entries {
            let configuration = store.configuration(app).await?;
            if configuration.is_some_and(|of| show(&of, &mut look).is_break()) {
                return Ok(());
            }
            request.after = Some(place);
        }
        if page.done {
            return Ok(());
        }
    }
}

fn show(
    configuration: &Configuration,
    look: &mut impl FnMut(AppId, &Endpoint) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let app = configuration.application.id;
    configuration.endpoints.values().try_for_each(|endpoint| look(app, endpoint))
}
