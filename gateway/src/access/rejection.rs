//! Tokens that are refused: of which kind, and why. For metrics only; who is refused learns nothing of it.

/// What was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Nothing.
    None,
    /// What may be a key, also one that has no form known here.
    ApiKey,
    /// A JWT.
    Jwt,
    /// A token of the portal.
    Portal,
}

/// Why it is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is none.
    Missing,
    /// Nobody has it.
    Unknown,
    /// Its time is over, or has not come.
    Expired,
    /// Its signature does not hold.
    Signature,
    /// It is for somebody else, or good for nothing here.
    Claims,
    /// Its issuer is not trusted, or not with this algorithm.
    Issuer,
    /// Its issuer has no such key.
    Key,
    /// It cannot be read.
    Malformed,
}

impl Credential {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::ApiKey, Self::Jwt, Self::Portal];

    /// The name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::Portal => "portal",
        }
    }

    /// Why such a one may be refused.
    pub(crate) const fn rejections(self) -> &'static [Rejection] {
        match self {
            Self::None => &[Rejection::Missing],
            Self::ApiKey | Self::Portal => {
                &[Rejection::Unknown, Rejection::Expired, Rejection::Malformed]
            }
            Self::Jwt => &[
                Rejection::Expired,
                Rejection::Signature,
                Rejection::Claims,
                Rejection::Issuer,
                Rejection::Key,
                Rejection::Malformed,
            ],
        }
    }
}

impl Rejection {
    /// The name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Malformed => "malformed",
        }
    }
}
