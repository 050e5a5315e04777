//! T8: what grows with applications, with endpoints, and with the messages that went through.
//!
//! CPU time is compared at one rate, half of what saturates: what a batch costs is shared by what is in
//! it, so at saturation a system that is slower looks cheaper. Each message has one match.

use std::time::Duration;

use serde::Serialize;

use super::{lab::Lab, long_run, outcome::Findings};
use crate::{
    report::Bound,
    rounds::{Figures, Pace, Round, Series, Store, Traffic},
};

const MANY: usize = 1000;
const ENDPOINTS: u64 = 10_000;
/// How often each endpoint has had a message before anything is counted.
const MET: f64 = 2.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    /// One application with one endpoint.
    One,
    /// A thousand applications with one endpoint each.
    Applications,
    /// Ten thousand endpoints, ten in each of a thousand applications.
    EndpointsOverApplications,
    /// Ten thousand endpoints in one application.
    EndpointsOfOne,
}

impl Form {
    const ALL: [Self; 4] =
        [Self::One, Self::Applications, Self::EndpointsOverApplications, Self::EndpointsOfOne];

    /// Applications, and endpoints of each.
    fn shape(self) -> (usize, u64) {
        match self {
            Self::One => (1, 1),
            Self::Applications => (MANY, 1),
            Self::EndpointsOverApplications => (MANY, ENDPOINTS / MANY as u64),
            Self::EndpointsOfOne => (1, ENDPOINTS),
        }
    }
}

#[derive(Debug, Serialize)]
struct Rounds<'a> {
    redis: &'a Series<Form, Figures>,
    embedded: &'a [long_run::Part],
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Findings> {
    let rate = lab.saturation().await? / 2.0;
    let warm_up = Duration::from_secs_f64(2.0 + MET * ENDPOINTS as f64 / rate);
    let round = Round { pace: Pace::Rate(rate), warm_up, ..lab.saturating() };
    let series = Series::take(lab.pairs, &Form::ALL, async |form| {
        let (applications, endpoints) = form.shape();
        lab.sluicegate(Store::RedisEverySecond, &round, &format!("{form:?}"), async |subject| {
            Traffic::by_channel(subject.api(), &lab.sink, applications, endpoints).await
        })
        .await
    })
    .await?;
    let parts = long_run::measure(lab).await?;

    let cpu = |round: &Figures| round.cpu_micros;
    let p99 = |round: &Figures| round.end_to_end.unwrap_or_default().p99_ms;
    let mut findings = Findings::new(&Rounds { redis: &series, embedded: &parts })?;
    for (form, what) in [
        (Form::Applications, "1,000 applications"),
        (Form::EndpointsOverApplications, "10,000 endpoints over 1,000 applications"),
        (Form::EndpointsOfOne, "10,000 endpoints of one application"),
    ] {
        let ratio = series.ratio(form, Form::One, cpu);
        let what = format!("times the CPU time of one endpoint, {what}");
        findings = findings.bound(Bound::at_most(what, ratio, 1.15));
    }
    for bound in long_run::bounds(&parts, lab.long)? {
        findings = findings.bound(bound);
    }
    findings = findings
        .beside("messages/s offered", rate)
        .beside("µs with one endpoint", series.median(Form::One, cpu));
    for form in Form::ALL {
        let what = format!("ms from end to end, p99, {form:?}");
        findings = findings.beside(&what, series.median(form, p99));
    }
    findings.done()
}
