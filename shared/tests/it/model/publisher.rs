//! Publishing.

use bytes::Bytes;
use shared::{
    domain::{Delivery, Generation},
    id::{AppId, MessageId},
    store::{Entry, Lifetimes, Publication, Published, Publisher, Resend, Resent, Result, Target},
};
use tokio::time::Instant;

use super::{Body, Key, Model, State};

#[async_trait::async_trait]
impl Publisher for Model {
    async fn publish(&self, batch: Vec<Publication>) -> Result<Vec<Published>> {
        let mut state = self.state();
        let answers = batch.into_iter().map(|publication| state.publish(publication)).collect();
        self.appended.notify_waiters();
        Ok(answers)
    }

    async fn resend(&self, resend: Resend) -> Result<Resent> {
        let delivery = resend.delivery;
        let mut state = self.state();
        let expires = Instant::now() + state.lifetimes.message;
        let has_endpoint = state.has_endpoint(delivery.queue());
        let Some(body) = state.bodies.get_mut(&(delivery.app, delivery.message)) else {
            return Ok(Resent::NoMessage);
        };
        if !has_endpoint {
            return Ok(Resent::NoEndpoint);
        }
        body.open += 1;
        body.expires = body.expires.max(expires);
        state.append(delivery.lane(), Entry::Delivery { delivery, not_before: None });
        self.appended.notify_waiters();
        Ok(Resent::Queued)
    }

    async fn expunge(&self, app: AppId, message: MessageId, record: Bytes) -> Result<bool> {
        let mut state = self.state();
        let body = state.bodies.get_mut(&(app, message));
        Ok(body.map(|body| body.record = record).is_some())
    }
}

impl State {
    fn publish(&mut self, publication: Publication) -> Published {
        let Publication { header, record, version, targets, fan_out, terms, dedup } = publication;
        let (app, message) = (header.app, header.id);
        if self.bodies.contains_key(&(app, message)) {
            return Published::Accepted;
        }
        match self.configurations.get(&app) {
            None => return Published::NoApplication,
            Some(configuration) if configuration.version != version && fan_out.is_none() => {
                return Published::Stale;
            }
            Some(_) => {}
        }
        for (index, wanted) in dedup.iter().enumerate() {
            if let Some(key) = self.keys.get(&(app, wanted.key.clone())) {
                let same = key.fingerprint == wanted.fingerprint;
                return Published::Duplicate { key: index, message: key.message, same };
            }
        }

        let now = Instant::now();
        let Lifetimes { message: with_targets, retention, .. } = self.lifetimes;
        let open = targets.len() + usize::from(fan_out.is_some());
        if let Some(quota) = terms.quota
            && open > 0
        {
            let ours = self.bodies.iter().filter(|((of, _), body)| *of == app && body.charged);
            let held: usize = ours.map(|(_, body)| body.record.len()).sum();
            if (held + record.len()) as u64 > quota {
                return Published::OverQuota;
            }
        }
        let retention = terms.retention.unwrap_or(retention);
        let lifetime = if open == 0 { retention } else { with_targets + terms.delay };
        let charged = terms.quota.is_some() && open > 0;
        let body = Body { record, open, charged, needed: None, retention, expires: now + lifetime };
        self.bodies.insert((app, message), body);
        self.log.push(header);
        for wanted in dedup {
            let key =
                Key { message, fingerprint: wanted.fingerprint, expires: now + wanted.lifetime };
            self.keys.insert((app, wanted.key), key);
        }
        self.append_targets(app, message, &targets);
        if let Some(fan_out) = fan_out {
            self.append(fan_out.lane(), Entry::FanOut(fan_out));
        }
        Published::Accepted
    }

    pub(super) fn append_targets(&mut self, app: AppId, message: MessageId, targets: &[Target]) {
        for &Target { endpoint, strand, not_before } in targets {
            let delivery =
                Delivery { app, endpoint, strand, message, generation: Generation::default() };
            self.append(delivery.lane(), Entry::Delivery { delivery, not_before });
        }
    }
}
