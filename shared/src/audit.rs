//! The audit log: who changed what. Its entries are messages without content of a reserved application
//! that has no endpoints, so that every engine keeps, lists and forgets them like all messages.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    domain::{Application, ApplicationSettings, Extra, Message, MessageHeader},
    id::{AppId, MessageId},
    store::{
        Change, ErrorKind, Page, PageRequest, Publication, Published, Result, SharedStore,
        StoreError, Version,
    },
    time::Millis,
};

/// The reserved application: no other has this id, because it would have been made in 1970.
pub const APPLICATION: AppId = AppId::from_bits(1);
/// Its only version: nobody changes it.
const VERSION: Version = Version(1);
/// Under which name an entry stands in a header.
const FIELD: &str = "audit";

/// A change that somebody made. It never holds what something was changed to: that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Who: the id of a key, `root` for the token of the settings, issuer and subject of a JWT, or a
    /// session of the portal.
    pub actor: String,
    /// What was done, such as `endpoint.update`.
    pub action: String,
    /// To what: an id, or the name that the request gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Of which application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppId>,
    /// By which request.
    pub request_id: String,
}

/// An entry with its id and time.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Its id.
    pub id: MessageId,
    /// When it was written.
    pub at: Millis,
    /// What it says; `None` if it cannot be read.
    pub entry: Option<Entry>,
}

/// Writes an entry. It is stored as durably as messages are.
pub async fn write(store: &SharedStore, entry: &Entry) -> Result<()> {
    let id = MessageId::new();
    let value = serde_json::to_value(entry).unwrap_or(Value::Null);
    let header = MessageHeader {
        id,
        app: APPLICATION,
        event_type: "audit".to_owned(),
        channels: vec![],
        tags: vec![],
        event_id: None,
        options: Default::default(),
        created_at: Millis(id.made_at_ms()),
        trace: None,
        extra: Extra::from_iter([(FIELD.to_owned(), value)]),
    };
    let message = Message { header: header.clone(), payload: Default::default() };
    let record = message.encode().map_err(|error| {
        StoreError::caused_by(ErrorKind::Corrupt, "an audit entry cannot be encoded", error)
    })?;
    let publication = Publication {
        header,
        record,
        version: VERSION,
        targets: vec![],
        fan_out: None,
        terms: Default::default(),
        dedup: vec![],
    };
    match store.publish(vec![publication.clone()]).await?.pop() {
        Some(Published::Accepted) => return Ok(()),
        Some(Published::NoApplication) => create(store).await?,
        other => return Err(refused(other)),
    }
    match store.publish(vec![publication]).await?.pop() {
        Some(Published::Accepted) => Ok(()),
        other => Err(refused(other)),
    }
}

/// A page of entries.
pub async fn list(store: &SharedStore, page: &PageRequest) -> Result<Page<Written>> {
    let found = store.messages(APPLICATION, page).await?;
    let entries = found.entries.into_iter().map(|(cursor, mut header)| {
        let entry = header.extra.remove(FIELD).and_then(|value| serde_json::from_value(value).ok());
        (cursor, Written { id: header.id, at: header.created_at, entry })
    });
    Ok(Page { entries: entries.collect(), done: found.done })
}

fn refused(answer: Option<Published>) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, format!("an audit entry was refused: {answer:?}"))
}

/// Makes the reserved application, unless somebody was faster.
async fn create(store: &SharedStore) -> Result<()> {
    let now = Millis::now();
    let application = Application {
        id: APPLICATION,
        uid: None,
        name: "audit log".to_owned(),
        rate_limit: None,
        settings: ApplicationSettings::default(),
        metadata: Default::default(),
        created_at: now,
        updated_at: now,
        extra: Extra::new(),
    };
    match store.commit(APPLICATION, None, &[Change::PutApplication(application)]).await {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Ambiguous) => Ok(()),
        Err(error) => Err(error),
    }
}
