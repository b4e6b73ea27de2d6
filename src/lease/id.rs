//! The name of a lease and the secret that opens it.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRngCore, rngs::OsRng};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The name of a lease: unique, ordered by time of grant, safe to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(Uuid);

/// The bearer secret of a lease: its name and 256 random bits, never logged.
///
/// Whoever knows it reaches the leased browser while the lease lives, on every route of the
/// gateway. The name inside finds the lease; the secret is then compared in constant time.
#[derive(Clone)]
pub struct Token {
    id: LeaseId,
    secret: [u8; 32],
}

/// Not the text of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a lease token")]
pub struct TokenError;

impl LeaseId {
    /// A fresh name.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Reads a name from its text form, `None` when it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("lease-")?;
        let id = Uuid::try_parse(hex).ok()?;
        // One lease has one spelling: `Uuid` would also read braces and upper case.
        (id.simple().to_string() == hex).then_some(Self(id))
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease-{}", self.0.simple())
    }
}

impl Token {
    /// A fresh secret for the lease `id`.
    ///
    /// # Panics
    /// When the operating system gives no random numbers: no secret can be made then.
    #[must_use]
    #[expect(clippy::expect_used, reason = "without entropy no secret can be made")]
    pub fn generate(id: LeaseId) -> Self {
        let mut secret = [0; 32];
        OsRng
            .try_fill_bytes(&mut secret)
            .expect("the operating system gives random numbers");
        Self { id, secret }
    }

    /// Reads a token from its text form.
    ///
    /// # Errors
    /// [`TokenError`] when `text` cannot be a token.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let (id, secret) = text.split_once('.').ok_or(TokenError)?;
        let id = LeaseId::parse(id).ok_or(TokenError)?;
        let secret = URL_SAFE_NO_PAD
            .decode(secret)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(TokenError)?;
        Ok(Self { id, secret })
    }

    /// The lease this token claims to open.
    #[must_use]
    pub const fn id(&self) -> LeaseId {
        self.id
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.id == other.id && self.secret.ct_eq(&other.secret).into()
    }

    /// The text form, to be put into a URL and nowhere else.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}.redacted)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form_and_no_other_opens() {
        let id = LeaseId::generate();
        let token = Token::generate(id);
        let read = Token::parse(&token.reveal()).unwrap();
        assert!(read.matches(&token));
        assert_eq!(read.id(), id);
        assert!(!Token::generate(id).matches(&token));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let token = Token::generate(LeaseId::generate()).reveal();
        for text in [
            "",
            ".",
            "lease-.",
            &token[..token.len() - 1],
            &token.to_uppercase(),
            &format!("{token}A"),
            &token.replace('.', "/"),
        ] {
            assert_eq!(Token::parse(text).unwrap_err(), TokenError, "{text}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::generate(LeaseId::generate());
        let secret = token.reveal();
        let secret = secret.split_once('.').unwrap().1;
        assert!(!format!("{token:?}").contains(secret));
    }

    #[test]
    fn names_are_ordered_by_time_and_spelled_one_way() {
        let first = LeaseId::generate();
        let second = LeaseId::generate();
        assert!(first < second);
        let text = first.to_string();
        assert_eq!(LeaseId::parse(&text), Some(first));
        assert_eq!(LeaseId::parse(&text.to_uppercase()), None);
        assert_eq!(LeaseId::parse(text.trim_start_matches("lease-")), None);
    }
}
