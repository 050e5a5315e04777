//! Who may look at an application through the portal, for how long, and what they may do there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Extra;
use crate::time::Millis;

/// What a token of the portal is good for, within its application. The names are those of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Capability {
    /// Reading all but secrets.
    ViewBase,
    /// Reading the secrets of endpoints.
    ViewEndpointSecret,
    /// Reading and rotating them.
    ManageEndpointSecret,
    /// Changing transformations, which there are none of.
    ManageTransformations,
    /// Sending again.
    CreateAttempts,
    /// Changing endpoints, their secrets included.
    ManageEndpoint,
}

impl Capability {
    /// All of them: what a token has for which nobody says otherwise.
    pub const ALL: [Self; 6] = [
        Self::ViewBase,
        Self::ViewEndpointSecret,
        Self::ManageEndpointSecret,
        Self::ManageTransformations,
        Self::CreateAttempts,
        Self::ManageEndpoint,
    ];

    /// Its name, as in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViewBase => "ViewBase",
            Self::ViewEndpointSecret => "ViewEndpointSecret",
            Self::ManageEndpointSecret => "ManageEndpointSecret",
            Self::ManageTransformations => "ManageTransformations",
            Self::CreateAttempts => "CreateAttempts",
            Self::ManageEndpoint => "ManageEndpoint",
        }
    }
}

/// A token of the portal, or a code that becomes one. The text itself is never stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortalToken {
    /// SHA-256 of the whole text, in base64.
    pub hash: String,
    /// What it is good for.
    pub capabilities: Vec<Capability>,
    /// What its maker calls the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// When it ends.
    pub expires_at: Millis,
    /// A code, good for being exchanged once: when the token ends that it is exchanged for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub becomes_until: Option<Millis>,
}

/// All tokens of the portal of one application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PortalAccess {
    /// The application's id, by which they are found.
    pub app: String,
    /// The tokens, oldest first.
    pub tokens: Vec<PortalToken>,
    /// Fields of a newer version.
    #[serde(flatten)]
    pub extra: Extra,
}

impl PortalAccess {
    /// How many tokens an application can have: beyond it the oldest end.
    pub const MOST: usize = 1000;

    /// Nobody's yet.
    pub fn new(app: String) -> Self {
        Self { app, tokens: Vec::new(), extra: Extra::new() }
    }

    /// Adds one, and drops what has ended.
    pub fn add(&mut self, token: PortalToken, now: Millis) {
        self.tokens.retain(|token| token.expires_at > now);
        self.tokens.push(token);
        let too_many = self.tokens.len().saturating_sub(Self::MOST);
        self.tokens.drain(..too_many);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_goes_and_so_do_the_oldest_of_too_many() {
        let mut access = PortalAccess::new("app".into());
        let token = |number: u64| PortalToken {
            hash: number.to_string(),
            capabilities: vec![],
            session_id: None,
            expires_at: Millis(number),
            becomes_until: None,
        };
        for number in 0..=PortalAccess::MOST as u64 {
            access.add(token(10 + number), Millis(1));
        }
        assert_eq!(
            (access.tokens.len(), access.tokens[0].hash.as_str()),
            (PortalAccess::MOST, "11")
        );
        access.add(token(5000), Millis(4000));
        assert_eq!(access.tokens.len(), 1);
    }
}
