//! Event types: what kinds of messages there are. A message may be of a kind that is not listed here.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    domain::{EventType, EventTypeSettings},
    store::Kind,
    time::Millis,
};

use super::{
    Api,
    list::ListQuery,
    openapi::{Name, Time, Title},
    patch::Patch,
    record::Record,
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults, is_name},
    schema,
};

/// Where an event type keeps its flags, if there are more than one.
pub(super) const FEATURE_FLAGS: &str = "featureFlags";
const MAX_FLAGS: usize = 64;

/// A change of an event type, or a whole one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["description"]))]
pub(super) struct EventTypeIn {
    /// Only for creating one.
    #[schemars(with = "Name")]
    pub(super) name: Patch<String>,
    #[schemars(with = "String", length(max = 4096))]
    description: Patch<String>,
    /// Not offered any more. Messages of this type are accepted all the same.
    archived: Patch<bool>,
    deprecated: Patch<bool>,
    /// JSON Schemas by their version.
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    schemas: Patch<Value>,
    #[schemars(with = "Option<Name>")]
    feature_flag: Patch<String>,
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_FLAGS))]
    feature_flags: Patch<Vec<String>>,
    #[schemars(with = "Option<Title>")]
    group_name: Patch<String>,
    sluicegate: Patch<SettingsIn>,
}

/// The object `sluicegate`: what the compatible API has no name for. A name that is not known is a
/// fault: nobody else's client sends any.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schemars(rename = "EventTypeSettingsIn")]
struct SettingsIn {
    /// Whether payloads must be as the newest of the schemas says.
    validate: Patch<bool>,
    managed_by: Patch<String>,
}

impl EventTypeIn {
    /// As the body of PUT and POST: all of it.
    pub(super) fn whole(self) -> Self {
        Self {
            name: self.name,
            description: self.description.whole(),
            archived: self.archived.whole(),
            deprecated: self.deprecated.whole(),
            schemas: self.schemas.whole(),
            feature_flag: self.feature_flag.whole(),
            feature_flags: self.feature_flags.whole(),
            group_name: self.group_name.whole(),
            sluicegate: self.sluicegate.whole(),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        match &self.description {
            Patch::Absent => {}
            Patch::Null => faults.add("description", "field required"),
            Patch::Value(description) => faults.description(description),
        }
        let managed_by = self.sluicegate.value().and_then(|ours| ours.managed_by.value());
        faults.managed_by("sluicegate", managed_by);
        if let Some(flag) = self.feature_flag.value() {
            faults.name("featureFlag", flag);
        }
        if let Some(flags) = self.feature_flags.value() {
            faults.names("featureFlags", flags, MAX_FLAGS);
        }
        if let Some(group) = self.group_name.value() {
            faults.title("groupName", group);
        }
        faults.into_result()
    }

    /// Changes an event type, unless what came of it had schemas that cannot be.
    fn apply(&self, event_type: &mut EventType) -> Result<()> {
        self.description.apply(&mut event_type.description, String::new());
        self.archived.apply(&mut event_type.archived, false);
        self.deprecated.apply(&mut event_type.deprecated, false);
        self.schemas.apply_option(&mut event_type.schemas);
        self.feature_flag.apply_option(&mut event_type.feature_flag);
        self.group_name.apply_option(&mut event_type.group_name);
        match &self.feature_flags {
            Patch::Absent => {}
            Patch::Null => _ = event_type.extra.remove(FEATURE_FLAGS),
            Patch::Value(flags) => {
                event_type.extra.insert(FEATURE_FLAGS.to_owned(), flags.clone().into());
            }
        }
        match &self.sluicegate {
            Patch::Absent => {}
            Patch::Null => event_type.settings.validate = false,
            Patch::Value(settings) => {
                settings.validate.apply(&mut event_type.settings.validate, false);
                settings.managed_by.apply_option(&mut event_type.managed_by);
            }
        }
        event_type.updated_at = Millis::now();
        schema::check(event_type)
    }

    fn create(&self, name: &str) -> Result<EventType> {
        let mut event_type = empty(name);
        self.apply(&mut event_type)?;
        Ok(event_type)
    }
}

/// An event type of which nothing is known but its name.
pub(super) fn empty(name: &str) -> EventType {
    let now = Millis::now();
    EventType {
        name: name.to_owned(),
        description: String::new(),
        archived: false,
        deprecated: false,
        schemas: None,
        feature_flag: None,
        group_name: None,
        settings: EventTypeSettings::default(),
        managed_by: None,
        created_at: now,
        updated_at: now,
        extra: serde_json::Map::new(),
    }
}

/// The object `sluicegate` as it is shown.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventTypeSettingsOut")]
struct SettingsOut<'a> {
    #[serde(flatten)]
    settings: &'a EventTypeSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<&'a str>,
}

impl<'a> SettingsOut<'a> {
    fn of(event_type: &'a EventType) -> Option<Self> {
        let (settings, managed_by) = (&event_type.settings, event_type.managed_by.as_deref());
        let is_empty = settings.is_empty() && managed_by.is_none();
        (!is_empty).then_some(Self { settings, managed_by })
    }
}

/// An event type.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventTypeOut<'a> {
    name: &'a str,
    description: &'a str,
    archived: bool,
    deprecated: bool,
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    schemas: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature_flag: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    feature_flags: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sluicegate: Option<SettingsOut<'a>>,
    #[schemars(with = "Time")]
    created_at: String,
    #[schemars(with = "Time")]
    updated_at: String,
}

impl<'a> EventTypeOut<'a> {
    pub(super) fn new(event_type: &'a EventType, with_content: bool) -> Self {
        Self {
            name: &event_type.name,
            description: &event_type.description,
            archived: event_type.archived,
            deprecated: event_type.deprecated,
            schemas: event_type.schemas.as_ref().filter(|_| with_content),
            feature_flag: event_type.feature_flag.as_deref(),
            feature_flags: event_type.extra.get(FEATURE_FLAGS),
            group_name: event_type.group_name.as_deref(),
            sluicegate: SettingsOut::of(event_type),
            created_at: event_type.created_at.rfc3339(),
            updated_at: event_type.updated_at.rfc3339(),
        }
    }
}

impl Record for EventType {
    const KIND: Kind = Kind::EventType;
    const WHAT: &'static str = "an event type";

    fn document_name(&self) -> &str {
        &self.name
    }
}

impl Api {
    /// Writes an event type as [`Api::write_record`] does. What this process knew of its schema is
    /// forgotten.
    pub(super) async fn write_event_type(
        &self,
        name: &str,
        decide: impl AsyncFn(Option<EventType>) -> Result<EventType>,
    ) -> Result<EventType> {
        let written = self.write_record(name, decide).await?;
        self.schemas.forget(name).await;
        Ok(written)
    }

    /// Replaces an event type, or creates it; whether it did.
    pub(super) async fn put_event_type(
        &self,
        name: &str,
        input: &EventTypeIn,
    ) -> Result<(EventType, bool)> {
        let mut faults = Faults::default();
        faults.name("name", name);
        faults.into_result()?;
        let new = input.create(name)?;
        let put = self
            .write_event_type(name, async |old| {
                let Some(mut old) = old else { return Ok(new.clone()) };
                input.apply(&mut old)?;
                Ok(old)
            })
            .await?;
        let created = put.created_at == new.created_at && put.updated_at == new.updated_at;
        Ok((put, created))
    }
}

const MISSING: ApiError = ApiError::NotFound("event type");

/// Creates an event type; one that was archived comes back.
pub(super) async fn create(api: web::Data<Api>, body: Body) -> Result<HttpResponse> {
    let input = body.json::<EventTypeIn>()?.whole();
    input.check()?;
    let name = input.name.value().filter(|name| is_name(name));
    let name = name.ok_or_else(|| ApiError::field("name", "expected a-z A-Z 0-9 - _ ."))?;
    let new = api
        .write_event_type(name, async |old| match old {
            Some(old) if !old.archived => {
                Err(ApiError::Conflict("an event type with this name exists".to_owned()))
            }
            Some(_) | None => input.create(name),
        })
        .await?;
    Ok(HttpResponse::Created().json(EventTypeOut::new(&new, true)))
}

pub(super) async fn get(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let event_type: EventType = api.record(&path).await?.ok_or(MISSING)?;
    Ok(HttpResponse::Ok().json(EventTypeOut::new(&event_type, true)))
}

pub(super) async fn put(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let input = body.json::<EventTypeIn>()?.whole();
    input.check()?;
    let (put, created) = api.put_event_type(&path, &input).await?;
    let mut response = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(EventTypeOut::new(&put, true)))
}

pub(super) async fn patch(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let input = body.json::<EventTypeIn>()?;
    input.check()?;
    let patched = api
        .write_event_type(&path, async |old| {
            let mut event_type = old.ok_or(MISSING)?;
            input.apply(&mut event_type)?;
            Ok(event_type)
        })
        .await?;
    Ok(HttpResponse::Ok().json(EventTypeOut::new(&patched, true)))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct DeleteQuery {
    /// Remove it, rather than archive it.
    #[serde(default)]
    expunge: bool,
}

/// Archives an event type; with `expunge` it is removed.
pub(super) async fn delete(
    api: web::Data<Api>,
    path: web::Path<String>,
    query: web::Query<DeleteQuery>,
) -> Result<HttpResponse> {
    if query.expunge {
        let was_there = api.store.delete_document(Kind::EventType, &path).await?;
        was_there.then_some(()).ok_or(MISSING)?;
        api.schemas.forget(&path).await;
    } else {
        api.write_event_type(&path, async |old| {
            let event_type = old.ok_or(MISSING)?;
            Ok(EventType { archived: true, updated_at: Millis::now(), ..event_type })
        })
        .await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn list(
    api: web::Data<Api>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let all = query.include_archived.unwrap_or(false);
    let listed =
        api.list_records(&query, |event_type: &EventType| all || !event_type.archived).await?;
    let with_content = query.with_content.unwrap_or(false);
    listed.respond(|event_type| EventTypeOut::new(event_type, with_content))
}
