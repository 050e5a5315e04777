//! Which endpoints of an application may want a message, without asking each of them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use shared::{
    domain::{Endpoint, MessageHeader},
    id::EndpointId,
};

/// The enabled endpoints, each under what it must find in a message before anything else counts:
/// one of its channels or, if it names none, one of its types. So a message meets those that share
/// something with it, not all that there are.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// In the order of their ids. What follows says where in here.
    endpoints: Vec<Arc<Endpoint>>,
    by_channel: HashMap<Box<str>, Vec<usize>>,
    by_type: HashMap<Box<str>, Vec<usize>>,
    unconditional: Vec<usize>,
}

impl Subscriptions {
    pub(crate) fn new(endpoints: &BTreeMap<EndpointId, Arc<Endpoint>>) -> Self {
        let enabled = endpoints.values().filter(|endpoint| !endpoint.disabled);
        let mut all = Self { endpoints: enabled.cloned().collect(), ..Self::default() };
        for (place, endpoint) in all.endpoints.iter().enumerate() {
            let (places, names) = match (&endpoint.channels[..], &endpoint.filter_types[..]) {
                ([], []) => {
                    all.unconditional.push(place);
                    continue;
                }
                ([], types) => (&mut all.by_type, types),
                (channels, _) => (&mut all.by_channel, channels),
            };
            for name in names {
                places.entry(name.as_str().into()).or_default().push(place);
            }
        }
        all
    }

    /// All that want the message, and perhaps others; in the order of their ids.
    pub(crate) fn candidates(&self, message: &MessageHeader) -> impl Iterator<Item = &Endpoint> {
        let places = match message.options.only {
            Some(only) => {
                let found = self.endpoints.binary_search_by_key(&only, |endpoint| endpoint.id);
                found.into_iter().collect()
            }
            None => self.sharing(message),
        };
        places.into_iter().filter_map(|place| self.endpoints.get(place)).map(Arc::as_ref)
    }

    fn sharing(&self, message: &MessageHeader) -> Vec<usize> {
        let by_channel =
            message.channels.iter().filter_map(|one| self.by_channel.get(one.as_str()));
        let by_type = self.by_type.get(message.event_type.as_str());
        let places = by_channel.chain(by_type).flatten().chain(&self.unconditional);
        let mut places: Vec<_> = places.copied().collect();
        places.sort_unstable();
        // An endpoint may want several of the channels, or name one twice.
        places.dedup();
        places
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use shared::{
        domain::{Message, Payload},
        id::{AppId, MessageId},
        time::Millis,
    };

    use super::*;

    const NAMES: [&str; 4] = ["a", "b", "c", "d"];

    fn names() -> impl Strategy<Value = Vec<&'static str>> {
        prop::collection::vec(prop::sample::select(NAMES.to_vec()), 0..3)
    }

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        (names(), names(), prop::bool::weighted(0.2)).prop_map(|(types, channels, disabled)| {
            let endpoint = json!({
                "id": EndpointId::new(), "url": "https://example.com/", "version": 1,
                "disabled": disabled, "filter_types": types, "channels": channels, "secrets": [],
                "created_at": 0, "updated_at": 0,
            });
            serde_json::from_value(endpoint).unwrap()
        })
    }

    fn header(event_type: &str, channels: &[&str]) -> MessageHeader {
        MessageHeader {
            id: MessageId::new(),
            app: AppId::new(),
            event_type: event_type.to_owned(),
            event_id: None,
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
            tags: vec![],
            created_at: Millis(0),
            options: Default::default(),
            trace: None,
            extra: Default::default(),
        }
    }

    fn wanted<'a>(
        endpoints: impl Iterator<Item = &'a Endpoint>,
        header: &MessageHeader,
    ) -> Vec<EndpointId> {
        let message = Message { header: header.clone(), payload: "{}".into() };
        let payload = Payload::new(&message.payload);
        endpoints.filter(|one| one.wants(header, &payload)).map(|one| one.id).collect()
    }

    proptest! {
        #[test]
        fn nobody_who_wants_a_message_is_missed_and_nobody_comes_twice(
            endpoints in prop::collection::vec(endpoint(), 0..12),
            event_type in prop::sample::select(NAMES.to_vec()),
            channels in names(),
            only in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        ) {
            let all: BTreeMap<_, _> =
                endpoints.into_iter().map(|one| (one.id, Arc::new(one))).collect();
            let mut header = header(event_type, &channels);
            let ids: Vec<_> = all.keys().copied().collect();
            // Of an endpoint that is no more, too.
            header.options.only = only.map(|only| match ids.len() {
                0 => EndpointId::new(),
                some => ids[only.index(some)],
            });
            let subscriptions = Subscriptions::new(&all);
            prop_assert_eq!(
                wanted(subscriptions.candidates(&header), &header),
                wanted(all.values().map(Arc::as_ref), &header)
            );
        }
    }

    #[test]
    fn a_message_of_one_channel_meets_those_of_the_channel_only() {
        let all: BTreeMap<_, _> = NAMES
            .iter()
            .map(|name| {
                let endpoint: Endpoint = serde_json::from_value(json!({
                    "id": EndpointId::new(), "url": "https://example.com/", "version": 1,
                    "channels": [name], "secrets": [], "created_at": 0, "updated_at": 0,
                }))
                .unwrap();
                (endpoint.id, Arc::new(endpoint))
            })
            .collect();
        let subscriptions = Subscriptions::new(&all);
        let met = |channels: &[&str]| {
            let header = header("a", channels);
            let met = subscriptions.candidates(&header).flat_map(|one| one.channels.clone());
            met.collect::<Vec<_>>()
        };
        assert_eq!(met(&["b"]), ["b"]);
        assert_eq!(met(&["c", "a"]).len(), 2);
        assert_eq!(met(&[]), [""; 0]);
    }
}
