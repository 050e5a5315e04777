//! What all targets share: how rounds are made, the sink, and what was measured already in this run.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use tokio::sync::OnceCell;

use crate::{
    rounds::{Figures, Round, Series, Side, Store, Subject, Traffic},
    scenarios::throughput,
    sink::Sink,
};

/// Applications that full traffic goes to.
pub(super) const APPLICATIONS: usize = 8;

/// A place to measure in.
pub(super) struct Lab {
    /// The command under test.
    pub(super) program: PathBuf,
    /// How often forms are measured in turn.
    pub(super) pairs: usize,
    /// Whether to measure for as long as it takes.
    pub(super) long: bool,
    /// The one receiver.
    pub(super) sink: Arc<Sink>,
    seconds: f64,
    every_second: OnceCell<Series<Side, Figures>>,
}

impl Lab {
    pub(super) fn new(
        program: PathBuf,
        pairs: usize,
        seconds: f64,
        long: bool,
    ) -> anyhow::Result<Self> {
        let (sink, every_second) = (Arc::new(Sink::start_local()?), OnceCell::new());
        Ok(Self { program, pairs, long, sink, seconds, every_second })
    }

    /// A round at saturation.
    pub(super) fn saturating(&self) -> Round {
        Round::saturating(self.seconds)
    }

    /// Floor and Sluicegate with all features at saturation, over Redis that fsyncs every second:
    /// measured once for all targets that ask.
    pub(super) async fn every_second(&self) -> anyhow::Result<&Series<Side, Figures>> {
        let measure = || self.against_floor(Store::RedisEverySecond, 1);
        self.every_second.get_or_try_init(measure).await
    }

    /// Deliveries per second of Sluicegate at saturation, over Redis that fsyncs every second.
    pub(super) async fn saturation(&self) -> anyhow::Result<f64> {
        let series = self.every_second().await?;
        Ok(series.median(Side::Sluicegate, |round| round.delivered_per_second))
    }

    /// Floor and Sluicegate with all features, at saturation, in turns.
    pub(super) async fn against_floor(
        &self,
        store: Store,
        fan_out: usize,
    ) -> anyhow::Result<Series<Side, Figures>> {
        Series::take(self.pairs, &[Side::Floor, Side::Sluicegate], async |side| match side {
            Side::Floor => self.floor(store, fan_out, &self.saturating()).await,
            Side::Sluicegate => self.full(store, fan_out, &self.saturating()).await,
        })
        .await
    }

    /// A round of the floor.
    pub(super) async fn floor(
        &self,
        store: Store,
        fan_out: usize,
        round: &Round,
    ) -> anyhow::Result<Figures> {
        throughput::floor(store, fan_out, round, &self.sink).await
    }

    /// A round of Sluicegate with all features.
    pub(super) async fn full(
        &self,
        store: Store,
        fan_out: usize,
        round: &Round,
    ) -> anyhow::Result<Figures> {
        self.sluicegate(store, round, "all features", async |subject| {
            Traffic::full(subject.api(), &self.sink, APPLICATIONS, fan_out).await
        })
        .await
    }

    /// A round of Sluicegate with this traffic.
    pub(super) async fn sluicegate(
        &self,
        store: Store,
        round: &Round,
        what: &str,
        traffic: impl AsyncFnOnce(&Subject) -> anyhow::Result<Traffic>,
    ) -> anyhow::Result<Figures> {
        let subject = Subject::sluicegate(&self.program, store, &[]).await?;
        let traffic = traffic(&subject).await.with_context(|| what.to_owned())?;
        let figures = round.run(&subject, &traffic, &self.sink).await;
        let figures = figures.with_context(|| what.to_owned())?;
        eprintln!("{what}: {figures}");
        subject.stop().await?;
        Ok(figures)
    }
}
