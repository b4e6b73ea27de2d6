//! Bearer tokens: a file has their hashes, and whom each stands for.
//!
//! A token is 32 random bytes, so one round of SHA-256 hides it: there is nothing to guess (NIST SP
//! 800-63B, section 5.1.2.2, asks for no more of secrets with 112 bits of entropy). Who reads the file
//! cannot call.

use std::{collections::HashSet, time::SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{TryRngCore, rngs::OsRng};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{Caller, Refusal, is_owner, watched::Wrong};

/// The random bytes of a token.
const RANDOM: usize = 32;
/// What tokens of ours begin with, so that scanners for secrets that leaked know them.
const PREFIX: &str = "berth_";
/// The shortest text that is taken for a token, in bytes. The file cannot tell what is behind a hash:
/// this is what keeps out words that people thought of.
const SHORTEST: usize = 32;

/// The tokens of a file.
#[derive(Debug)]
pub(super) struct Tokens(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    hash: [u8; 32],
    caller: Caller,
    expires: Option<SystemTime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    owner: String,
    #[serde(default)]
    role: Role,
    sha256: String,
    expires: Option<toml::value::Datetime>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    #[default]
    User,
    Admin,
}

impl Tokens {
    /// Reads the one file.
    pub(super) fn parse(contents: &[Vec<u8>]) -> Result<Self, Wrong> {
        let wrong = |why: String| (0, why);
        let text = contents.first().map_or(&[][..], Vec::as_slice);
        let text = std::str::from_utf8(text).map_err(|_| wrong("is not UTF-8".into()))?;
        // Without the lines that are wrong: somebody may have pasted a token.
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| 1 + before.matches('\n').count());
            wrong(format!("line {line}: {}", quiet(error.message())))
        })?;
        if file.token.is_empty() {
            return Err(wrong("has no [[token]]".into()));
        }
        let mut known = HashSet::new();
        let mut entries = Vec::new();
        for (index, row) in file.token.into_iter().enumerate() {
            let at = |why: &str| wrong(format!("token {}: {why}", index + 1));
            let hash = hash_of(&row.sha256)
                .ok_or_else(|| at("sha256 must be the 64 hexadecimal digits of a SHA-256"))?;
            if !known.insert(hash) {
                return Err(at("is there twice"));
            }
            if !is_owner(&row.owner) {
                return Err(at(
                    "owner must be 1 to 128 printable ASCII characters without blanks, and not \
                     \"anonymous\"",
                ));
            }
            let expires = row.expires.map(|time| {
                let time = humantime::parse_rfc3339(&time.to_string());
                time.map_err(|_| at("expires must be a time in UTC such as 2030-01-31T00:00:00Z"))
            });
            entries.push(Entry {
                hash,
                caller: Caller::new(row.owner, matches!(row.role, Role::Admin)),
                expires: expires.transpose()?,
            });
        }
        Ok(Self(entries))
    }

    /// Whom `token` stands for at `now`. Takes as long for any token as for any other.
    pub(super) fn find(&self, token: &[u8], now: SystemTime) -> Result<Caller, Refusal> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = u32::MAX;
        for (index, entry) in (0u32..).zip(&self.0) {
            let same: Choice = entry.hash.ct_eq(&hash);
            found.conditional_assign(&index, same);
        }
        let entry = self.0.get(found as usize);
        let entry = entry.filter(|_| token.len() >= SHORTEST);
        let entry = entry.ok_or(Refusal::Unknown)?;
        match entry.expires {
            Some(end) if end <= now => Err(Refusal::Expired),
            _ => Ok(entry.caller.clone()),
        }
    }
}

/// What a parser says may quote what it read.
fn quiet(message: &str) -> &str {
    message.split(['`', '"', '\n']).next().unwrap_or_default()
}

fn hash_of(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// A new token, and the entry of the file that lets it in.
///
/// # Errors
/// When `owner` is none that a file takes, or the system has no random bytes.
pub fn new_token(owner: &str, admin: bool) -> Result<(String, String), String> {
    if !is_owner(owner) {
        return Err(
            "an owner is 1 to 128 printable ASCII characters without blanks, and not \"anonymous\""
                .into(),
        );
    }
    let mut random = [0; RANDOM];
    OsRng
        .try_fill_bytes(&mut random)
        .map_err(|error| format!("no random bytes: {error}"))?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let hash = Sha256::digest(&token);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let role = if admin { "admin" } else { "user" };
    let owner = toml::Value::from(owner);
    let entry = format!("[[token]]\nowner = {owner}\nrole = \"{role}\"\nsha256 = \"{hash}\"\n");
    Ok((token, entry))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(text: &str) -> Result<Tokens, String> {
        Tokens::parse(&[text.into()]).map_err(|(_, why)| why)
    }

    #[test]
    fn a_new_token_is_let_in_by_its_entry_and_no_other_is() {
        let (token, entry) = new_token("ci\\\"x", true).unwrap();
        let (other, second) = new_token("me", false).unwrap();
        let tokens = parse(&format!("{entry}\n{second}")).unwrap();
        let now = SystemTime::now();
        let admin = tokens.find(token.as_bytes(), now).unwrap();
        assert_eq!((admin.owner(), admin.is_admin()), ("ci\\\"x", true));
        let user = tokens.find(other.as_bytes(), now).unwrap();
        assert_eq!((user.owner(), user.is_admin()), ("me", false));
        for wrong in ["", "berth_", &token[1..], &format!("{token}x")] {
            let refused = tokens.find(wrong.as_bytes(), now).unwrap_err();
            assert_eq!(refused, Refusal::Unknown, "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains(&token));
        assert!(new_token("", false).is_err());
        assert!(new_token("anonymous", false).is_err());
    }

    #[test]
    fn a_short_one_is_never_let_in() {
        let hash: String = Sha256::digest("hunter2")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let tokens = parse(&format!("[[token]]\nowner='a'\nsha256='{hash}'")).unwrap();
        let refused = tokens.find(b"hunter2", SystemTime::now()).unwrap_err();
        assert_eq!(refused, Refusal::Unknown);
    }

    #[test]
    fn it_expires_to_the_second() {
        let (token, entry) = new_token("ci", false).unwrap();
        let tokens = parse(&format!("{entry}expires = 2030-01-01T00:00:00Z")).unwrap();
        let end = humantime::parse_rfc3339("2030-01-01T00:00:00Z").unwrap();
        let second = Duration::from_secs(1);
        assert!(tokens.find(token.as_bytes(), end - second).is_ok());
        let expired = tokens.find(token.as_bytes(), end).unwrap_err();
        assert_eq!(expired, Refusal::Expired);
    }

    #[test]
    fn files_that_are_wrong_say_where_and_repeat_no_secret() {
        let hash = "0".repeat(64);
        for (text, why) in [
            ("", "has no [[token]]"),
            (
                "[[token]]\nowner='a'\nsha256='0'",
                "token 1: sha256 must be",
            ),
            (
                "[[token]]\nowner='a'\nsha256='%'\ntoken='SECRET'",
                "line 4: unknown field",
            ),
            (
                "[[token]]\nowner='a'\nrole='SECRET'\nsha256='%'",
                "line 3: unknown variant",
            ),
            (
                "[[token]]\nowner='a b'\nsha256='%'",
                "token 1: owner must be",
            ),
            (
                "[[token]]\nowner='a'\nsha256='%'\nexpires=2030-01-01",
                "token 1: expires must be",
            ),
            (
                "[[token]]\nowner='a'\nsha256='%'\n[[token]]\nowner='b'\nsha256='%'",
                "token 2: is there twice",
            ),
            ("[[token]]\nowner=SECRET", "line 2: "),
        ] {
            let said = parse(&text.replace('%', &hash)).unwrap_err();
            assert!(said.contains(why), "{said}");
            assert!(!said.contains("SECRET"), "{said}");
        }
    }
}
