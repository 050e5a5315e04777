//! Who should own what: rendezvous hashing over the nodes that are alive. The lease decides.

use shared::{placement::Lane, store::Owner};
use xxhash_rust::xxh3::xxh3_64;

/// The node among `nodes` that should own a lane: the one whose hash with it is greatest. When a node
/// joins or leaves, only its own lanes move.
pub(crate) fn preferred<'a>(
    lane: Lane,
    nodes: impl IntoIterator<Item = &'a Owner>,
) -> Option<&'a Owner> {
    nodes.into_iter().max_by_key(|node| {
        let hash = xxh3_64(format!("{}/{}", node.as_str(), lane.index()).as_bytes());
        (hash, node.as_str())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn share(names: &[&str]) -> BTreeMap<u16, String> {
        let nodes: Vec<_> = names.iter().map(|name| Owner::new(name)).collect();
        Lane::all()
            .filter_map(|lane| Some((lane.index(), preferred(lane, &nodes)?.to_string())))
            .collect()
    }

    #[test]
    fn only_the_lanes_of_a_node_that_leaves_move() {
        let (three, two) = (share(&["a", "b", "c"]), share(&["a", "b"]));
        for (lane, owner) in &three {
            if owner != "c" {
                assert_eq!(&two[lane], owner);
            }
        }
    }

    #[test]
    fn every_node_gets_some_and_the_order_of_nodes_does_not_matter() {
        let shares = share(&["a", "b", "c"]);
        assert_eq!(shares, share(&["c", "a", "b"]));
        for node in ["a", "b", "c"] {
            assert!(shares.values().filter(|owner| *owner == node).count() > 8);
        }
        assert!(share(&[]).is_empty());
    }
}
