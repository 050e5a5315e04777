//! What the log of an application's messages keeps of each: its header in short, because there are very
//! many of them and most live longer than their bodies.
//!
//! JSON with names of one letter. The application is that of the key, and the time is left out where
//! the id tells it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Extra, MessageHeader, MessageOptions},
    id::{AppId, MessageId},
    time::Millis,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LogRecord<'a> {
    #[serde(rename = "i")]
    id: String,
    #[serde(rename = "t")]
    event_type: Cow<'a, str>,
    #[serde(default, rename = "c", skip_serializing_if = "<[String]>::is_empty")]
    channels: Cow<'a, [String]>,
    #[serde(default, rename = "g", skip_serializing_if = "<[String]>::is_empty")]
    tags: Cow<'a, [String]>,
    #[serde(default, rename = "e", skip_serializing_if = "Option::is_none")]
    event_id: Option<Cow<'a, str>>,
    #[serde(default, rename = "a", skip_serializing_if = "Option::is_none")]
    created_at: Option<Millis>,
    #[serde(default, rename = "o", skip_serializing_if = "MessageOptions::is_empty")]
    options: Cow<'a, MessageOptions>,
    #[serde(default, rename = "x", skip_serializing_if = "Extra::is_empty")]
    extra: Cow<'a, Extra>,
}

impl<'a> LogRecord<'a> {
    pub(super) fn new(header: &'a MessageHeader) -> Self {
        let told = header.created_at.0 == header.id.made_at_ms();
        Self {
            id: header.id.bare().to_string(),
            event_type: Cow::Borrowed(&header.event_type),
            channels: Cow::Borrowed(&header.channels),
            tags: Cow::Borrowed(&header.tags),
            event_id: header.event_id.as_deref().map(Cow::Borrowed),
            created_at: (!told).then_some(header.created_at),
            options: Cow::Borrowed(&header.options),
            extra: Cow::Borrowed(&header.extra),
        }
    }

    /// The header of a message of this application; `None` if its id is none.
    pub(super) fn header(self, app: AppId) -> Option<MessageHeader> {
        let id = MessageId::from_bare(&self.id).ok()?;
        Some(MessageHeader {
            id,
            app,
            event_type: self.event_type.into_owned(),
            channels: self.channels.into_owned(),
            tags: self.tags.into_owned(),
            event_id: self.event_id.map(Cow::into_owned),
            created_at: self.created_at.unwrap_or(Millis(id.made_at_ms())),
            options: self.options.into_owned(),
            trace: None,
            extra: self.extra.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_and_common_ones_are_short() {
        let (id, app) = (MessageId::new(), AppId::new());
        let common = MessageHeader {
            id,
            app,
            event_type: "invoice.paid".into(),
            channels: vec![],
            tags: vec![],
            event_id: None,
            options: MessageOptions::default(),
            created_at: Millis(id.made_at_ms()),
            trace: None,
            extra: Extra::new(),
        };
        let rare = MessageHeader {
            channels: vec!["a".into()],
            tags: vec!["b".into()],
            event_id: Some("c".into()),
            options: serde_json::from_str(r#"{"deliverAt": 1}"#).unwrap(),
            created_at: Millis(1),
            extra: serde_json::from_str(r#"{"from": "the future"}"#).unwrap(),
            ..common.clone()
        };
        for header in [common, rare] {
            let json = serde_json::to_string(&LogRecord::new(&header)).unwrap();
            let read: LogRecord<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(read.header(app), Some(header.clone()));
            assert!(!header.tags.is_empty() || json.len() < 60, "{json}");
        }
    }
}
