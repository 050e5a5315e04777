//! Publishing.

use shared::{
    domain::{Delivery, Generation},
    store::{Entry, Lifetimes, Publication, Published, Publisher, Resend, Resent, Result},
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
}

impl State {
    fn publish(&mut self, publication: Publication) -> Published {
        let Publication { header, record, version, targets, dedup } = publication;
        let (app, message) = (header.app, header.id);
        if self.bodies.contains_key(&(app, message)) {
            return Published::Accepted;
        }
        match self.configurations.get(&app) {
            None => return Published::NoApplication,
            Some(configuration) if configuration.version != version => return Published::Stale,
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
        let lifetime = if targets.is_empty() { retention } else { with_targets };
        let body = Body { record, open: targets.len(), needed: None, expires: now + lifetime };
        self.bodies.insert((app, message), body);
        self.log.push(header);
        for wanted in dedup {
            let key =
                Key { message, fingerprint: wanted.fingerprint, expires: now + wanted.lifetime };
            self.keys.insert((app, wanted.key), key);
        }
        for target in targets {
            let delivery = Delivery {
                app,
                endpoint: target.endpoint,
                strand: target.strand,
                message,
                generation: Generation::default(),
            };
            let not_before = target.not_before;
            self.append(delivery.lane(), Entry::Delivery { delivery, not_before });
        }
        Published::Accepted
    }
}
