//! T10: what an API key and idempotency keys cost, and what filters do.

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    lab::{APPLICATIONS, Lab},
    outcome::Findings,
};
use crate::{
    report::Bound,
    rounds::{Figures, Series, Store, Traffic, limited},
};

const STORE: Store = Store::RedisEverySecond;
/// Endpoints of one application with a filter each, of which one lets messages through.
const FILTERS: u64 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// The token of the settings, no idempotency keys.
    Plain,
    /// An API key, and an idempotency key for each message.
    Keyed,
    /// One endpoint with a filter that lets everything through.
    OneFilter,
    /// 49 endpoints more, whose filters let nothing through.
    Filters,
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Findings> {
    use Form::{Filters, Keyed, OneFilter, Plain};
    let keys = Series::take(lab.pairs, &[Plain, Keyed], async |form| round(lab, form).await);
    let keys = keys.await?;
    let filters =
        Series::take(lab.pairs, &[OneFilter, Filters], async |form| round(lab, form).await);
    let filters = filters.await?;
    let cpu = |round: &Figures| round.cpu_micros;
    let (keyed, filtered) = (keys.ratio(Keyed, Plain, cpu), filters.ratio(Filters, OneFilter, cpu));
    Findings::new(&(&keys, &filters))?
        .bound(Bound::at_most("times the CPU time, with API key and idempotency keys", keyed, 1.1))
        .bound(Bound::at_most("times the CPU time, with 50 filters for one", filtered, 1.15))
        .beside("µs with neither", keys.median(Plain, cpu))
        .beside("µs with one filter", filters.median(OneFilter, cpu))
        .done()
}

async fn round(lab: &Lab, form: Form) -> anyhow::Result<Figures> {
    let what = format!("{form:?}");
    lab.sluicegate(STORE, &lab.saturating(), &what, async |subject| {
        let (api, sink) = (subject.api(), &lab.sink);
        match form {
            Form::Plain | Form::Keyed => {
                let full = Traffic::full(api, sink, APPLICATIONS, 1).await?;
                if form == Form::Plain {
                    return Ok(Traffic { keyed: false, ..full });
                }
                let key = api.create_key().await?;
                Ok(Traffic { api: api.with_token(key), ..full })
            }
            Form::OneFilter | Form::Filters => {
                let endpoints = if form == Form::Filters { FILTERS } else { 1 };
                Traffic::to(api, 1, endpoints, |_, number| filtered(&sink.url("/ok"), number)).await
            }
        }
    })
    .await
}

/// The first one wants all orders, the others those with more of the first article than anybody buys.
fn filtered(url: &str, number: u64) -> Value {
    let mut endpoint = limited(url);
    let least = if number == 0 { 1 } else { 100 + number };
    endpoint["sluicegate"]["filter"] = json!({ "pointer": "/lines/0/quantity", "gte": least });
    endpoint
}
