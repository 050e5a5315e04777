//! Environment-wide records of the API: JSON documents of a kind, by name. Read, written by comparing
//! and setting, and listed in the order of their names.

use actix_web::web;
use serde::{Serialize, de::DeserializeOwned};
use shared::store::{Document, ErrorKind, Expect, Kind, Order, StoreError};

use super::{
    Api, MAX_TRIES,
    list::{ListQuery, Listed, gather, page_of},
    pause,
};
use crate::error::Result;

/// A record with a kind of its own.
pub(super) trait Record: Clone + Serialize + DeserializeOwned {
    const KIND: Kind;
    /// What it is called in errors, with its article.
    const WHAT: &'static str;

    /// The name of its document.
    fn document_name(&self) -> &str;
}

/// Reads a record.
pub(super) fn decode<T: Record>(json: &[u8]) -> Result<T> {
    Ok(serde_json::from_slice(json).map_err(|error| {
        let what = format!("{} cannot be read", T::WHAT);
        StoreError::caused_by(ErrorKind::Corrupt, what, error)
    })?)
}

fn encode<T: Record>(record: &T) -> Result<Document> {
    let json = serde_json::to_vec(record).map_err(|error| {
        let what = format!("{} cannot be written", T::WHAT);
        StoreError::caused_by(ErrorKind::Corrupt, what, error)
    })?;
    Ok(Document { name: record.document_name().to_owned(), json: json.into() })
}

impl Api {
    pub(super) async fn record<T: Record>(&self, name: &str) -> Result<Option<T>> {
        let json = self.store.document(T::KIND, name).await?;
        json.as_deref().map(decode).transpose()
    }

    /// Writes a record, if there stands what is expected.
    pub(super) async fn put_record<T: Record>(&self, record: &T, expect: &Expect) -> Result<()> {
        Ok(self.store.put_document(T::KIND, &encode(record)?, expect).await?)
    }

    /// Writes what `decide` makes of the record as it is; it may be asked more than once.
    pub(super) async fn write_record<T: Record>(
        &self,
        name: &str,
        decide: impl AsyncFn(Option<T>) -> Result<T>,
    ) -> Result<T> {
        for turn in 0..MAX_TRIES {
            pause(turn).await;
            let json = self.store.document(T::KIND, name).await?;
            let record = decide(json.as_deref().map(decode).transpose()?).await?;
            let document = encode(&record)?;
            let expect = json.map_or(Expect::Absent, Expect::Exactly);
            match self.store.put_document(T::KIND, &document, &expect).await {
                Ok(()) => return Ok(record),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        let what = format!("{} changes all the time", T::WHAT);
        Err(StoreError::new(ErrorKind::Conflict, what).into())
    }

    /// A page of all records that are to be shown.
    pub(super) async fn list_records<T: Record>(
        &self,
        query: &web::Query<ListQuery>,
        is_shown: impl Fn(&T) -> bool,
    ) -> Result<Listed<T>> {
        let documents = self.store.documents(T::KIND).await?;
        let sorted = documents.into_iter().map(|it| Ok((it.name, decode(&it.json)?)));
        let sorted = sorted.collect::<Result<Vec<_>>>()?;
        gather(
            query,
            query.order(Order::OldestFirst),
            async |request| Ok(page_of(sorted.clone(), &request)),
            |_| None,
            async |record| Ok(is_shown(record)),
        )
        .await
    }
}
