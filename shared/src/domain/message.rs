//! A message: an event, stored once and delivered byte for byte.
//!
//! Record: one byte of format (1), the header's length as 4 bytes little endian, the header as JSON,
//! the exact bytes of the payload.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{Extra, MessageOptions};
use crate::{
    id::{AppId, MessageId},
    time::Millis,
};

const RECORD_FORMAT: u8 = 1;
const PREFIX_LEN: usize = 5;

/// What is known of a message besides its payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageHeader {
    /// Its id: also the `webhook-id` of each attempt.
    pub id: MessageId,
    /// The tenant that published it.
    pub app: AppId,
    /// What kind of event it is.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Channels, for endpoints that filter by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// Tags, for listing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The producer's own id of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// When the gateway took it.
    #[serde(rename = "at")]
    pub created_at: Millis,
    /// What it asks for beyond the ordinary.
    #[serde(default, rename = "opt", skip_serializing_if = "MessageOptions::is_empty")]
    pub options: MessageOptions,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl MessageHeader {
    /// When its first attempts are due.
    pub fn due_at(&self) -> Millis {
        self.options.deliver_at.map_or(self.created_at, |time| time.max(self.created_at))
    }

    /// Whether it is too late for an attempt.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.options.expires_at.is_some_and(|end| end <= now)
    }
}

/// A message as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What is known of it.
    pub header: MessageHeader,
    /// The exact bytes that the producer sent as payload.
    pub payload: Bytes,
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Too short, or a length that does not fit.
    #[error("the record is cut off")]
    Cut,
    /// Written by a version that this one cannot read.
    #[error("the record has format {0}, this version reads {RECORD_FORMAT}")]
    Format(u8),
    /// The header is no JSON of a header.
    #[error("the record's header cannot be read")]
    Header(#[from] serde_json::Error),
}

impl Message {
    /// The same without content: what is left when it was expunged.
    pub fn expunged(self) -> Self {
        let mut header = self.header;
        header.options.headers.clear();
        header.options.expunged = true;
        Self { header, payload: Bytes::new() }
    }

    /// The record.
    pub fn encode(&self) -> Result<Bytes, RecordError> {
        let header = serde_json::to_vec(&self.header)?;
        let length = u32::try_from(header.len()).map_err(|_| RecordError::Cut)?;
        let mut record = BytesMut::with_capacity(PREFIX_LEN + header.len() + self.payload.len());
        record.put_u8(RECORD_FORMAT);
        record.put_u32_le(length);
        record.put_slice(&header);
        record.put_slice(&self.payload);
        Ok(record.freeze())
    }

    /// Reads a record. The payload shares the record's memory.
    pub fn decode(record: &Bytes) -> Result<Self, RecordError> {
        match record.first() {
            None => return Err(RecordError::Cut),
            Some(&RECORD_FORMAT) => {}
            Some(&other) => return Err(RecordError::Format(other)),
        }
        let length = record.get(1..PREFIX_LEN).and_then(|bytes| bytes.try_into().ok());
        let length = u32::from_le_bytes(length.ok_or(RecordError::Cut)?) as usize;
        let end = PREFIX_LEN.checked_add(length).ok_or(RecordError::Cut)?;
        let header = record.get(PREFIX_LEN..end).ok_or(RecordError::Cut)?;
        Ok(Self { header: serde_json::from_slice(header)?, payload: record.slice(end..) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> MessageHeader {
        MessageHeader {
            id: MessageId::new(),
            app: AppId::new(),
            event_type: "invoice.paid".into(),
            channels: vec![],
            tags: vec![],
            event_id: None,
            created_at: Millis(1),
            options: MessageOptions::default(),
            extra: serde_json::from_str(r#"{"from":"the future"}"#).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn payload_is_kept_byte_for_byte(payload: Vec<u8>) {
            let message = Message { header: header(), payload: payload.into() };
            prop_assert_eq!(Message::decode(&message.encode().unwrap()).unwrap(), message);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Message::decode(&bytes.into());
        }

        #[test]
        fn a_cut_record_is_refused(cut in 0usize..40) {
            let record = Message { header: header(), payload: Bytes::new() }.encode().unwrap();
            prop_assert!(Message::decode(&record.slice(..cut)).is_err());
        }
    }
}
