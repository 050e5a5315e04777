//! Leases: strings `<epoch> <owner> <renewal>`, so that one MGET reads those of all lanes.

use std::collections::HashMap;

use ::redis::cmd;

use super::{
    Redis,
    error::corrupt,
    keys,
    scripts::{ACQUIRE, BEAT, Call, RELEASE, RENEW},
};
use crate::{
    placement::Lane,
    store::{Beat, Epoch, Fence, Lease, Leases, Owner, Result},
};

/// What a lease starts with while the fence's owner holds it.
pub(super) fn fence_text(fence: &Fence) -> String {
    format!("{} {} ", fence.epoch.0, fence.owner)
}

fn lease_text(lease: &Lease) -> String {
    let owner = lease.owner.as_ref().map_or("", Owner::as_str);
    format!("{} {owner} {}", lease.epoch.0, lease.renewal)
}

/// Reads a lease.
pub(super) fn parse_lease(text: &str) -> Result<Lease> {
    let mut words = text.splitn(3, ' ');
    let mut next = || words.next();
    (|| {
        let epoch = next()?.parse().ok()?;
        let owner = Some(next()?).filter(|owner| !owner.is_empty()).map(Owner::new);
        Some(Lease { owner, epoch, renewal: next()?.parse().ok()? })
    })()
    .ok_or_else(|| corrupt("a lease cannot be read", text))
}

#[async_trait::async_trait]
impl Leases for Redis {
    async fn heartbeat(&self, owner: &Owner) -> Result<Vec<Beat>> {
        let mut call = Call::new(&BEAT);
        call.key(keys::nodes()).arg(owner.as_str());
        let beats: HashMap<String, u64> = self.serving.call(&call).await?;
        Ok(beats
            .into_iter()
            .map(|(owner, count)| Beat { owner: Owner::new(&owner), count })
            .collect())
    }

    async fn forget_node(&self, owner: &Owner) -> Result<()> {
        self.serving.command(cmd("HDEL").arg(keys::nodes()).arg(owner.as_str())).await
    }

    async fn leases(&self, lanes: &[Lane]) -> Result<Vec<Option<Lease>>> {
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = cmd("MGET");
        for lane in lanes {
            command.arg(keys::lease(*lane));
        }
        let leases: Vec<Option<String>> = self.serving.command(&command).await?;
        leases.iter().map(|lease| lease.as_deref().map(parse_lease).transpose()).collect()
    }

    async fn acquire(
        &self,
        lane: Lane,
        owner: &Owner,
        seen: Option<&Lease>,
    ) -> Result<Option<Epoch>> {
        let mut call = Call::new(&ACQUIRE);
        call.key(keys::lease(lane))
            .arg(owner.as_str())
            .arg(seen.map(lease_text).unwrap_or_default());
        let epoch: Option<u64> = self.serving.call(&call).await?;
        Ok(epoch.map(Epoch))
    }

    async fn renew(&self, fences: &[Fence]) -> Result<Vec<bool>> {
        if fences.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = Call::new(&RENEW);
        for fence in fences {
            call.key(keys::lease(fence.lane)).arg(fence_text(fence));
        }
        self.serving.call(&call).await
    }

    async fn release(&self, fence: &Fence) -> Result<()> {
        let mut call = Call::new(&RELEASE);
        call.key(keys::lease(fence.lane)).arg(fence_text(fence)).number(fence.epoch.0);
        self.serving.call(&call).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_round_trip() {
        for owner in [None, Some(Owner::new("host-1/af32"))] {
            let lease = Lease { owner, epoch: Epoch(1_763_889_489_123), renewal: 7 };
            assert_eq!(parse_lease(&lease_text(&lease)).unwrap(), lease);
        }
        assert!(parse_lease("").is_err());
        assert!(parse_lease("1 somebody").is_err());
    }
}
