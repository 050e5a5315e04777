//! Ownership: which lanes this node holds, one round at a time.
//!
//! Every node does the same, and there is no leader: it shows a sign of life, sees who else is alive,
//! renews what it holds, and takes its share ([`crate::placement`]) as soon as the lease is free or
//! has not moved for one TTL on its own clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use shared::{
    placement::Lane,
    store::{Beat, Epoch, Fence, Lease, Owner, Result, SharedStore},
};

use crate::{
    placement::shares,
    tenure::{LeaseTime, Tenure},
};

/// What this node knows of all lanes and nodes.
pub(crate) struct Ownership {
    store: SharedStore,
    owner: Owner,
    ttl: Duration,
    /// Per node its last sign of life, and when it came.
    peers: HashMap<Owner, (u64, LeaseTime)>,
    /// Leases of others, and since when each has stood like that.
    sightings: HashMap<Lane, (Lease, LeaseTime)>,
    tenures: BTreeMap<Lane, Arc<Tenure>>,
    /// Lanes whose actor died: not taken again by this process.
    broken: BTreeSet<Lane>,
    incarnation: Option<String>,
}

/// What a round changed.
#[derive(Default)]
pub(crate) struct Round {
    pub(crate) gained: Vec<Gained>,
    pub(crate) lost: Vec<Lane>,
    /// How many leases were renewed.
    pub(crate) renewed: usize,
    /// Held, but another node should: to be drained and released.
    pub(crate) surplus: Vec<Lane>,
    /// The store is another one than before: what it had acknowledged may be lost.
    pub(crate) store_changed: bool,
}

/// A lane that was taken.
pub(crate) struct Gained {
    pub(crate) tenure: Arc<Tenure>,
    /// Whether its owner before did not release it: some of its attempts may have an unknown end.
    pub(crate) unclean: bool,
}

impl Ownership {
    pub(crate) fn new(store: SharedStore, owner: Owner, ttl: Duration) -> Self {
        Self {
            store,
            owner,
            ttl,
            peers: HashMap::new(),
            sightings: HashMap::new(),
            tenures: BTreeMap::new(),
            broken: BTreeSet::new(),
            incarnation: None,
        }
    }

    /// One round. What it changed stands in `round`, also after an error; the next round goes on where
    /// this one stopped, and leases that could not be renewed end by themselves.
    pub(crate) async fn round(&mut self, round: &mut Round) -> Result<()> {
        self.keep(round).await?;
        let (mine, missing) = self.wanted();
        round.surplus = self.tenures.keys().filter(|lane| !mine.contains(lane)).copied().collect();
        self.acquire(missing, round).await
    }

    /// Takes the lanes that this node should hold and that are free by now: less than a round.
    pub(crate) async fn seek(&mut self, round: &mut Round) -> Result<()> {
        let (_, missing) = self.wanted();
        self.acquire(missing, round).await
    }

    /// Whether there are lanes that this node should hold and does not.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.wanted().1.is_empty()
    }

    /// A round that takes nothing new: shows a sign of life, and renews what is held.
    pub(crate) async fn keep(&mut self, round: &mut Round) -> Result<()> {
        let incarnation = self.store.incarnation().await?;
        round.store_changed =
            self.incarnation.as_ref().is_some_and(|before| *before != incarnation);
        self.incarnation = Some(incarnation);
        let beats = self.store.heartbeat(&self.owner).await?;
        let dead = self.observe(beats, LeaseTime::now());
        for node in &dead {
            self.store.forget_node(node).await?;
        }
        round.lost = self.renew().await?;
        round.renewed = self.tenures.len();
        Ok(())
    }

    /// Takes note of signs of life; answers the nodes that showed none for several TTLs.
    fn observe(&mut self, beats: Vec<Beat>, now: LeaseTime) -> Vec<Owner> {
        let known: BTreeSet<_> = beats.iter().map(|beat| beat.owner.clone()).collect();
        self.peers.retain(|node, _| known.contains(node));
        for Beat { owner, count } in beats {
            let peer = self.peers.entry(owner).or_insert((count, now));
            if peer.0 != count {
                *peer = (count, now);
            }
        }
        let silent = |since: &LeaseTime| now.since(*since) > 3 * self.ttl;
        let dead = self.peers.iter().filter(|(_, (_, since))| silent(since));
        dead.map(|(node, _)| node.clone()).collect()
    }

    fn live(&self, now: LeaseTime) -> impl Iterator<Item = &Owner> {
        let alive = move |since: LeaseTime| now.since(since) < self.ttl;
        self.peers.iter().filter(move |(_, (_, since))| alive(*since)).map(|(node, _)| node)
    }

    async fn renew(&mut self) -> Result<Vec<Lane>> {
        let fences: Vec<_> = self.tenures.values().map(|tenure| tenure.fence().clone()).collect();
        let sent = LeaseTime::now();
        let held = self.store.renew(&fences).await?;
        let mut lost = Vec::new();
        for (fence, held) in fences.iter().zip(held) {
            match self.tenures.get(&fence.lane) {
                Some(tenure) if held => tenure.extend(sent, self.ttl),
                _ => lost.push(fence.lane),
            }
        }
        for lane in &lost {
            self.tenures.remove(lane);
        }
        Ok(lost)
    }

    /// The lanes that this node should hold, and those of them that it does not.
    fn wanted(&self) -> (BTreeSet<Lane>, Vec<Lane>) {
        let now = LeaseTime::now();
        let mine: BTreeSet<_> = shares(self.live(now))
            .into_iter()
            .filter(|(_, owner)| **owner == self.owner)
            .map(|(lane, _)| lane)
            .collect();
        let missing = mine
            .iter()
            .filter(|lane| !self.tenures.contains_key(lane) && !self.broken.contains(lane))
            .copied()
            .collect();
        (mine, missing)
    }

    /// Takes those of the lanes that are free. The leases of all others are looked at too: when their
    /// node is found dead, they have been seen to stand still for as long as its sign of life.
    async fn acquire(&mut self, wanted: Vec<Lane>, round: &mut Round) -> Result<()> {
        let others: Vec<_> = Lane::all().filter(|lane| !self.tenures.contains_key(lane)).collect();
        let leases = self.store.leases(&others).await?;
        let now = LeaseTime::now();
        let free: Vec<_> = others
            .into_iter()
            .zip(leases)
            .filter(|(lane, lease)| self.is_free(*lane, lease.as_ref(), now))
            .filter(|(lane, _)| wanted.contains(lane))
            .collect();
        let answers = join_all(free.into_iter().map(|(lane, seen)| {
            let (store, owner, ttl) = (Arc::clone(&self.store), self.owner.clone(), self.ttl);
            async move {
                let sent = LeaseTime::now();
                let epoch = store.acquire(lane, &owner, seen.as_ref()).await?;
                let unclean = seen.is_some_and(|lease| lease.owner.is_some());
                Result::Ok(epoch.map(|epoch| {
                    let fence = Fence { lane, owner, epoch };
                    Gained { tenure: Arc::new(Tenure::new(fence, sent, ttl)), unclean }
                }))
            }
        }))
        .await;
        let mut result = Ok(());
        for answer in answers {
            match answer {
                Ok(None) => {}
                Ok(Some(gained)) => {
                    let (lane, tenure) = (gained.tenure.lane(), Arc::clone(&gained.tenure));
                    self.sightings.remove(&lane);
                    self.tenures.insert(lane, tenure);
                    round.gained.push(gained);
                }
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Whether a lease was never held, was released, belongs to this node, which knows nothing of it
    /// because the answer was lost, or to a node that is not even listed, or has stood still for a TTL.
    /// Not listed is the embedded store after a crash: its list of nodes is as young as the process.
    /// Should that ever be wrong, the epoch still keeps two owners apart.
    fn is_free(&mut self, lane: Lane, lease: Option<&Lease>, now: LeaseTime) -> bool {
        let Some(lease) = lease else { return true };
        let Some(owner) = &lease.owner else { return true };
        if *owner == self.owner || !self.peers.contains_key(owner) {
            return true;
        }
        let (seen, since) = self.sightings.entry(lane).or_insert_with(|| (lease.clone(), now));
        if seen != lease {
            (*seen, *since) = (lease.clone(), now);
        }
        now.since(*since) >= self.ttl
    }

    /// Gives a lane up.
    pub(crate) async fn release(&mut self, lane: Lane) -> Result<()> {
        match self.tenures.remove(&lane) {
            Some(tenure) => self.store.release(tenure.fence()).await,
            None => Ok(()),
        }
    }

    /// Gives everything up, and leaves.
    pub(crate) async fn leave(&mut self) -> Result<()> {
        for lane in self.tenures.keys().copied().collect::<Vec<_>>() {
            self.release(lane).await?;
        }
        self.store.forget_node(&self.owner).await
    }

    /// The lane's actor ended without being asked to: its lease runs out, for another node to take.
    pub(crate) fn abandon(&mut self, lane: Lane) {
        self.tenures.remove(&lane);
        self.broken.insert(lane);
    }

    /// The lane's owner of this epoch was told by the store that it is fenced.
    pub(crate) fn forget(&mut self, lane: Lane, epoch: Epoch) {
        if self.tenures.get(&lane).is_some_and(|tenure| tenure.fence().epoch == epoch) {
            self.tenures.remove(&lane);
        }
    }

    /// How many nodes are alive.
    pub(crate) fn nodes(&self) -> usize {
        self.live(LeaseTime::now()).count()
    }

    pub(crate) fn held(&self) -> usize {
        self.tenures.len()
    }
}
