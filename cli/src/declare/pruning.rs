//! Pruning: what a declaration has made and does not name any more is removed, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    file::Declaration,
    plan::Plan,
    remote::{Remote, text},
    step::Step,
};

impl Plan {
    /// Removes what this declaration made and does not name any more.
    pub(super) fn prune(&mut self, file: &Declaration, remote: &Remote) {
        let mine = |by: &Value| *by == file.name.as_str();
        let mut endpoints = Vec::new();
        let mut others: [Vec<Step>; 4] = Default::default();
        let [applications, api_keys, event_types, limits] = &mut others;
        for found in &remote.applications {
            let (id, name) = (text(&found.shown, "id"), shown_name(&found.shown));
            let entry = file.applications.iter().find(|entry| entry.value.is(&found.shown));
            if entry.is_none() && mine(&found.shown["sluicegate"]["managedBy"]) {
                applications
                    .push(Step::removal(&format!("application {name}"), &format!("app/{id}")));
                continue;
            }
            let declared = entry.map_or(&[][..], |entry| &entry.value.endpoints);
            for shown in &found.endpoints {
                let is_declared = declared.iter().any(|entry| entry.value.is(shown));
                if !is_declared && mine(&shown["sluicegate"]["managedBy"]) {
                    let what = format!("endpoint {} of {name}", shown_name(shown));
                    let path = format!("app/{id}/endpoint/{}", text(shown, "id"));
                    endpoints.push(Step::removal(&what, &path));
                }
            }
        }
        for shown in &remote.operational_endpoints {
            let is_declared = file.operational_endpoints.iter().any(|one| one.value.is(shown));
            if !is_declared && mine(&shown["sluicegate"]["managedBy"]) {
                let what = format!("endpoint {} of the operator", shown_name(shown));
                let path = format!("operational-webhook/endpoint/{}", text(shown, "id"));
                endpoints.push(Step::removal(&what, &path));
            }
        }
        let keys: BTreeSet<_> =
            file.api_keys.iter().filter_map(|entry| entry.value.id.as_deref()).collect();
        for shown in remote.api_keys.iter().filter(|shown| mine(&shown["managedBy"])) {
            let id = text(shown, "id");
            if !keys.contains(id) {
                let what = format!("API key {} ({id})", text(shown, "name"));
                api_keys.push(Step::removal(&what, &format!("sluicegate/api-key/{id}")));
            }
        }
        for shown in &remote.event_types {
            let name = text(shown, "name");
            let is_declared = file.event_types.iter().any(|entry| entry.value.name == name);
            let archived = shown["archived"] == true;
            if !is_declared && !archived && mine(&shown["sluicegate"]["managedBy"]) {
                event_types.push(Step::removal(
                    &format!("event type {name}"),
                    &format!("event-type/{name}"),
                ));
            }
        }
        for shown in remote.limits.iter().filter(|shown| mine(&shown["managedBy"])) {
            let name = text(shown, "name");
            if !file.limits.iter().any(|entry| entry.value.name == name) {
                limits.push(Step::removal(
                    &format!("limit {name}"),
                    &format!("sluicegate/limit/{name}"),
                ));
            }
        }
        self.stages.push(vec![endpoints]);
        self.stages.extend(others.map(|steps| vec![steps]));
    }
}

/// What names it for people.
fn shown_name(shown: &Value) -> &str {
    shown["uid"].as_str().unwrap_or_else(|| text(shown, "id"))
}
