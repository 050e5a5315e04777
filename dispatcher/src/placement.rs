//! Who should own what, computed by every node alike from who is alive. The lease decides.
//!
//! Rendezvous hashing with bounds. Plain rendezvous hashing gives one of three nodes 27 of 64 lanes
//! as easily as 16, and may give all four lanes of a busy application to the same one. So the pairs
//! of lane and node are gone through from the greatest hash down, and a node takes no more than its
//! even share of all lanes, and of the lanes of one shard. A node that joins or leaves moves between
//! one and two times as many lanes as its share.

use std::{cmp::Reverse, collections::BTreeMap};

use shared::{
    placement::{LANES, LANES_PER_SHARD, Lane},
    store::Owner,
};
use xxhash_rust::xxh3::xxh3_64;

/// The node that should own each lane; empty if there are no nodes. Their order does not matter.
pub(crate) fn shares<'a>(nodes: impl IntoIterator<Item = &'a Owner>) -> BTreeMap<Lane, &'a Owner> {
    let mut nodes: Vec<_> = nodes.into_iter().collect();
    nodes.sort_unstable_by_key(|node| node.as_str());
    let Some(count) = std::num::NonZeroUsize::new(nodes.len()) else { return BTreeMap::new() };
    let mut pairs: Vec<(u64, Lane, usize)> = (0..nodes.len())
        .flat_map(|node| Lane::all().map(move |lane| (node, lane)))
        .map(|(node, lane)| (hash(nodes[node], lane), lane, node))
        .collect();
    pairs.sort_unstable_by_key(|pair| Reverse(*pair));

    let (lanes, of_shard) = (usize::from(LANES), usize::from(LANES_PER_SHARD));
    let (least, most) = (lanes / count, lanes.div_ceil(count.get()));
    let spread = of_shard.div_ceil(count.get());
    let mut shares = BTreeMap::new();
    let mut owned = vec![0; nodes.len()];
    let mut owned_of_shard = BTreeMap::new();
    // What the first rounds leave over, the next take: nobody gets a second helping before everybody
    // had the first, and a lane is not left alone for the sake of its shard.
    let rounds = [(least, spread), (least, of_shard), (most, spread), (most, of_shard)];
    for (bound, bound_of_shard) in rounds {
        for (_, lane, node) in &pairs {
            let here = owned_of_shard.entry((lane.shard(), *node)).or_insert(0);
            if owned[*node] < bound && *here < bound_of_shard && !shares.contains_key(lane) {
                shares.insert(*lane, nodes[*node]);
                owned[*node] += 1;
                *here += 1;
            }
        }
    }
    shares
}

fn hash(node: &Owner, lane: Lane) -> u64 {
    xxh3_64(format!("{}/{}", node.as_str(), lane.index()).as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::placement::Shard;

    use super::*;

    fn owners(names: &[u32]) -> Vec<Owner> {
        names.iter().map(|name| Owner::new(&name.to_string())).collect()
    }

    fn most_of_one_shard(shares: &BTreeMap<Lane, &Owner>, node: &Owner) -> usize {
        let of = |shard| {
            move |(lane, owner): &(&Lane, &&Owner)| lane.shard() == shard && **owner == node
        };
        Shard::all().map(|shard| shares.iter().filter(of(shard)).count()).max().unwrap_or(0)
    }

    #[test]
    fn without_nodes_nobody_owns_anything() {
        assert!(shares(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn all_lanes_are_shared_evenly(names in prop::collection::hash_set(any::<u32>(), 1..80)) {
            let nodes = owners(&names.into_iter().collect::<Vec<_>>());
            let shares = shares(&nodes);
            prop_assert_eq!(shares.len(), usize::from(LANES));
            for node in &nodes {
                let owned = shares.values().filter(|owner| **owner == node).count();
                let even = usize::from(LANES) / nodes.len();
                prop_assert!(owned == even || owned == even + 1, "{} of {}", owned, nodes.len());
            }
        }

        #[test]
        fn two_nodes_share_each_shard(one: u32, other: u32) {
            prop_assume!(one != other);
            let nodes = owners(&[one, other]);
            let shares = shares(&nodes);
            for node in &nodes {
                prop_assert_eq!(most_of_one_shard(&shares, node), 2);
            }
        }

        #[test]
        fn the_order_of_nodes_does_not_matter(
            names in prop::collection::hash_set(any::<u32>(), 1..8),
        ) {
            let nodes = owners(&names.into_iter().collect::<Vec<_>>());
            let reversed: Vec<_> = nodes.iter().rev().cloned().collect();
            prop_assert_eq!(shares(&nodes), shares(&reversed));
        }

        #[test]
        fn few_lanes_move_when_a_node_leaves(
            names in prop::collection::hash_set(any::<u32>(), 3..9),
        ) {
            let nodes = owners(&names.into_iter().collect::<Vec<_>>());
            let (before, after) = (shares(&nodes), shares(&nodes[1..]));
            let moved = Lane::all().filter(|lane| before[lane] != after[lane]).count();
            prop_assert!(moved <= 40, "{} moved among {}", moved, nodes.len());
        }
    }
}
