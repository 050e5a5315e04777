//! A message: an event, stored once and delivered byte for byte.
//!
//! Record: one byte of format, the header's length as 4 bytes little endian, the header as JSON, the
//! exact bytes of the payload: in format 1 as they are, in format 3 packed (`packing.rs`).

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{
    Extra, MessageOptions,
    packing::{pack, unpack},
};
use crate::{
    id::{AppId, MessageId},
    time::Millis,
    trace::{self, TraceContext},
};

const PLAIN: u8 = 1;
const PACKED: u8 = 3;
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
    /// Where its publication stands in a trace. Most messages have none, and their record nothing of it.
    #[serde(
        default,
        deserialize_with = "trace::of_record",
        skip_serializing_if = "Option::is_none"
    )]
    pub trace: Option<Box<TraceContext>>,
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
    #[error("the record has format {0}, this version reads {PLAIN} and {PACKED}")]
    Format(u8),
    /// The header is no JSON of a header.
    #[error("the record's header cannot be read")]
    Header(#[from] serde_json::Error),
    /// The payload is not packed as it should be.
    #[error("the record's payload cannot be unpacked")]
    Payload,
}

impl Message {
    /// The same without content: what is left when it was expunged.
    pub fn expunged(self) -> Self {
        let mut header = self.header;
        header.options.headers.clear();
        header.options.expunged = true;
        header.trace = None;
        Self { header, payload: Bytes::new() }
    }

    /// The record.
    pub fn encode(&self) -> Result<Bytes, RecordError> {
        let header = serde_json::to_vec(&self.header)?;
        let length = u32::try_from(header.len()).map_err(|_| RecordError::Cut)?;
        let packed = pack(&self.payload);
        let (format, payload) = match &packed {
            Some(packed) => (PACKED, packed.as_slice()),
            None => (PLAIN, &self.payload[..]),
        };
        let mut record = BytesMut::with_capacity(PREFIX_LEN + header.len() + payload.len());
        record.put_u8(format);
        record.put_u32_le(length);
        record.put_slice(&header);
        record.put_slice(payload);
        Ok(record.freeze())
    }

    /// Reads a record. A payload that is not packed shares the record's memory.
    pub fn decode(record: &Bytes) -> Result<Self, RecordError> {
        let format = match record.first() {
            None => return Err(RecordError::Cut),
            Some(&format @ (PLAIN | PACKED)) => format,
            Some(&other) => return Err(RecordError::Format(other)),
        };
        let length = record.get(1..PREFIX_LEN).and_then(|bytes| bytes.try_into().ok());
        let length = u32::from_le_bytes(length.ok_or(RecordError::Cut)?) as usize;
        let end = PREFIX_LEN.checked_add(length).ok_or(RecordError::Cut)?;
        let header = record.get(PREFIX_LEN..end).ok_or(RecordError::Cut)?;
        let payload = match format {
            PACKED => unpack(&record[end..]).ok_or(RecordError::Payload)?.into(),
            _ => record.slice(end..),
        };
        Ok(Self { header: serde_json::from_slice(header)?, payload })
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
            trace: None,
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
        fn so_is_a_payload_that_is_packed(part in ".{1,40}", times in 1usize..400) {
            let message = Message { header: header(), payload: part.repeat(times).into() };
            let record = message.encode().unwrap();
            prop_assert!(record.len() < 1000 || record[0] == PACKED);
            prop_assert_eq!(Message::decode(&record).unwrap(), message);
        }

        #[test]
        fn a_packed_record_is_read_or_refused(at in 1usize..400, byte: u8) {
            let payload = r#"{"a":[1,2,3,4,5,6,7,8]}"#.repeat(40).into();
            let mut record = Message { header: header(), payload }.encode().unwrap().to_vec();
            prop_assert_eq!(record[0], PACKED);
            if let Some(there) = record.get_mut(at) {
                *there = byte;
            }
            let _ = Message::decode(&record.into());
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

    const TRACED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 a=1";

    #[test]
    fn a_message_without_a_trace_has_nothing_of_it_in_its_record() {
        let text = r#"{"id":"msg_2zGLpFtNgCcRQMrAxVtPVH","app":"app_2zGLpFtNgCcRQMrAxVtPVH","type":"a","at":1}"#;
        // As it was written before there were traces.
        let length = (text.len() as u32).to_le_bytes();
        let record = [&[PLAIN][..], &length, text.as_bytes(), b"{}"].concat();
        let message = Message::decode(&record.clone().into()).unwrap();
        assert_eq!((message.header.trace.as_ref(), &message.payload[..]), (None, &b"{}"[..]));
        assert_eq!(message.encode().unwrap(), record);
    }

    #[test]
    fn a_trace_is_kept_and_costs_only_its_own_length() {
        let mut message = Message { header: header(), payload: "1".into() };
        let without = message.encode().unwrap().len();
        message.header.trace =
            serde_json::from_str::<Traced>(&format!(r#"{{"trace":"{TRACED}"}}"#))
                .map(|traced| traced.trace)
                .unwrap();
        let record = message.encode().unwrap();
        assert_eq!(record.len() - without, r#","trace":"""#.len() + TRACED.len());
        assert_eq!(Message::decode(&record).unwrap(), message);
        assert_eq!(message.expunged().header.trace, None);
    }

    #[derive(serde::Deserialize)]
    struct Traced {
        #[serde(deserialize_with = "trace::of_record")]
        trace: Option<Box<TraceContext>>,
    }

    #[test]
    fn a_trace_that_cannot_be_read_is_none() {
        for trace in ["", "nonsense", "00-", "é"] {
            let text = format!(r#"{{"trace":"{trace}"}}"#);
            assert_eq!(serde_json::from_str::<Traced>(&text).unwrap().trace, None, "{trace}");
        }
    }
}
