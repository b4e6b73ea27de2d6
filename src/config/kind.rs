//! What kinds of values there are, and how each is read from text.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

use bytesize::ByteSize;
use http::HeaderValue;
use url::Url;

use super::Config;
use crate::{
    broker::PolicyMode,
    browser::jail,
    egress::{Detour, Fallback, Rule, Upstream},
    telemetry::{self, Format},
};

/// The place of a value in the configuration.
type Field<T> = fn(&mut Config) -> &mut T;

/// The longest name of a node: that of a host.
const LONGEST_NAME: usize = 253;

/// What a setting takes, within which range, and where it goes.
pub(super) enum Kind {
    Address(Field<SocketAddr>),
    Url(Field<Option<Url>>),
    HttpUrl(Field<Option<Url>>),
    Name(Field<String>),
    Executable(Field<Option<PathBuf>>),
    Directory(Field<PathBuf>),
    File(Field<Option<PathBuf>>),
    /// Any text, which may be empty.
    Text(Field<String>),
    /// A claim and its value.
    Claim(Field<Option<(String, String)>>),
    Names(Field<Vec<String>>),
    Switch(Field<bool>),
    /// One of some words, and what it sets.
    Word(&'static [&'static str], fn(&mut Config, &str)),
    Words(Field<Vec<String>>),
    U32(RangeInclusive<u32>, Field<u32>),
    U64(RangeInclusive<u64>, Field<u64>),
    Usize(RangeInclusive<usize>, Field<usize>),
    Duration(RangeInclusive<Duration>, Field<Duration>),
    Size(RangeInclusive<usize>, Field<usize>),
    /// A size where 0 stands for no limit.
    Limit(RangeInclusive<u64>, Field<u64>),
    /// Cores, kept in thousandths, where 0 stands for no limit.
    Cores(RangeInclusive<u64>, Field<u64>),
    Paths(Field<Vec<PathBuf>>),
    Jail(Field<jail::Choice>),
    Header(Field<Option<String>>),
    Rules(Field<Vec<Rule>>),
    Fallback(Field<Fallback>),
    /// A proxy, without its password: that is none of a command line's.
    Proxy(Field<Option<Upstream>>),
    /// What goes around a proxy.
    Bypass(Field<Vec<String>>),
    Addresses(Field<Vec<SocketAddr>>),
    LogFilter(Field<String>),
    LogFormat(Field<Format>),
    PolicyMode(Field<PolicyMode>),
}

impl Kind {
    /// Reads `text` into `config`, or says what is wanted instead.
    pub(super) fn apply(&self, config: &mut Config, text: &str) -> Result<(), String> {
        let wanted = || format!("must be {}, not {text:?}", self.values());
        match self {
            Self::Address(field) => *field(config) = text.parse().map_err(|_| wanted())?,
            Self::Url(field) => {
                *field(config) = optional(text).map(base_url).transpose()?;
            }
            Self::HttpUrl(field) => {
                *field(config) = optional(text)
                    .map(|text| {
                        let url = Url::parse(text).ok();
                        let plain = url.filter(|url| url.scheme() == "http" && url.has_host());
                        plain.ok_or_else(wanted)
                    })
                    .transpose()?;
            }
            Self::Name(field) => {
                if text.is_empty() || text.len() > LONGEST_NAME || has_blank(text) {
                    return Err(wanted());
                }
                text.clone_into(field(config));
            }
            Self::Executable(field) => *field(config) = optional(text).map(PathBuf::from),
            Self::Directory(field) => {
                // Relative to what would depend on who says it, and from where.
                *field(config) = Some(PathBuf::from(text))
                    .filter(|path| path.is_absolute())
                    .ok_or_else(wanted)?;
            }
            Self::File(field) => *field(config) = optional(text).map(PathBuf::from),
            Self::Text(field) => {
                if has_blank(text) {
                    return Err(wanted());
                }
                text.clone_into(field(config));
            }
            Self::Claim(field) => {
                *field(config) = optional(text)
                    .map(|text| match text.split_once('=') {
                        Some((claim, value)) if !claim.is_empty() && !value.is_empty() => {
                            Ok((claim.to_owned(), value.to_owned()))
                        }
                        _ => Err(wanted()),
                    })
                    .transpose()?;
            }
            Self::Switch(field) => *field(config) = text.parse().map_err(|_| wanted())?,
            Self::Word(words, set) => {
                if !words.contains(&text) {
                    return Err(wanted());
                }
                set(config, text);
            }
            Self::Words(field) | Self::Names(field) => {
                *field(config) = text.split_whitespace().map(str::to_owned).collect();
            }
            Self::U32(range, field) => *field(config) = number(text, range).ok_or_else(wanted)?,
            Self::U64(range, field) => *field(config) = number(text, range).ok_or_else(wanted)?,
            Self::Usize(range, field) => *field(config) = number(text, range).ok_or_else(wanted)?,
            Self::Duration(range, field) => *field(config) = duration(text, range, &wanted)?,
            Self::Size(range, field) => {
                *field(config) = size(text)
                    .and_then(|size| usize::try_from(size).ok())
                    .filter(|size| range.contains(size))
                    .ok_or_else(wanted)?;
            }
            Self::Limit(range, field) => {
                *field(config) = size(text)
                    .filter(|size| *size == 0 || range.contains(size))
                    .ok_or_else(wanted)?;
            }
            Self::Cores(range, field) => {
                *field(config) = cores(text)
                    .filter(|cores| *cores == 0 || range.contains(cores))
                    .ok_or_else(wanted)?;
            }
            Self::Paths(field) => {
                let paths = text.split(':').filter(|path| !path.is_empty());
                let paths: Vec<_> = paths.map(PathBuf::from).collect();
                if paths.iter().any(|path| !path.is_absolute()) {
                    return Err(wanted());
                }
                *field(config) = paths;
            }
            Self::Jail(field) => *field(config) = text.parse().map_err(|()| wanted())?,
            Self::Header(field) => {
                if HeaderValue::from_str(text).is_err() || !text.is_ascii() {
                    return Err(wanted());
                }
                *field(config) = optional(text).map(str::to_owned);
            }
            Self::Rules(field) => {
                let rules = items(text).map(str::parse).collect::<Result<_, _>>();
                *field(config) =
                    rules.map_err(|error| format!("must be {}: {error}", self.values()))?;
            }
            Self::Fallback(field) => *field(config) = text.parse().map_err(|()| wanted())?,
            Self::Proxy(field) => {
                let read = optional(text).map(|text| match Upstream::parse(text) {
                    Ok(proxy) if !proxy.has_credentials() => Ok(proxy),
                    Ok(_) => Err("name and password belong into a file".to_owned()),
                    Err(why) => Err(why),
                });
                // The text may be secret.
                let read = read.transpose();
                *field(config) = read.map_err(|why| format!("must be {}: {why}", self.values()))?;
            }
            Self::Bypass(field) => {
                for item in items(text) {
                    Detour::check(item).map_err(|why| format!("{}: {why}", wanted()))?;
                }
                *field(config) = items(text).map(str::to_owned).collect();
            }
            Self::Addresses(field) => {
                let addresses = items(text).map(str::parse).collect::<Result<_, _>>();
                *field(config) = addresses.map_err(|_| wanted())?;
            }
            Self::LogFilter(field) => {
                telemetry::check_filter(text).map_err(|_| wanted())?;
                text.clone_into(field(config));
            }
            Self::LogFormat(field) => *field(config) = text.parse().map_err(|_| wanted())?,
            Self::PolicyMode(field) => {
                let mode = PolicyMode::ALL
                    .into_iter()
                    .find(|mode| mode.as_str() == text);
                *field(config) = mode.ok_or_else(wanted)?;
            }
        }
        Ok(())
    }

    /// The values it takes, in words that follow "must be".
    pub(super) fn values(&self) -> String {
        match self {
            Self::Address(_) => "an IP address and a port such as 127.0.0.1:8080".into(),
            Self::Url(_) => "a ws, wss, http or https URL, or empty".into(),
            Self::HttpUrl(_) => "an http URL, or empty".into(),
            Self::Name(_) => format!("1 to {LONGEST_NAME} bytes without blanks"),
            Self::Executable(_) => "a path, or empty".into(),
            Self::Directory(_) => "an absolute path".into(),
            Self::File(_) => "the path of a file, or empty".into(),
            Self::Text(_) => "text without blanks, or empty".into(),
            Self::Claim(_) => "a claim and its value such as role=admin, or empty".into(),
            Self::Names(_) => "names separated by spaces, or empty".into(),
            Self::Switch(_) => "true or false".into(),
            Self::Word(words, _) => words.join(" or "),
            Self::Words(_) => "flags separated by spaces, or empty".into(),
            Self::U32(range, _) => between(range, u32::to_string),
            Self::U64(range, _) => between(range, u64::to_string),
            Self::Usize(range, _) => between(range, usize::to_string),
            Self::Duration(range, _) => {
                between(range, |time| humantime::format_duration(*time).to_string())
            }
            Self::Size(range, _) => between(range, |size| show_size(*size as u64)),
            Self::Limit(range, _) => {
                format!("0 for none or {}", between(range, |size| show_size(*size)))
            }
            Self::Cores(range, _) => {
                format!(
                    "0 for none or {}",
                    between(range, |cores| show_cores(*cores))
                )
            }
            Self::Paths(_) => "absolute paths separated by colons, or empty".into(),
            Self::Jail(_) => "auto, bwrap or none".into(),
            Self::Header(_) => "printable ASCII, or empty".into(),
            Self::Rules(_) => {
                "CIDR blocks, hosts or *.hosts, each with :PORT or :PORT-PORT after it or not, \
                 separated by commas, or empty"
                    .into()
            }
            Self::Fallback(_) => "public or nothing".into(),
            Self::Proxy(_) => {
                "an http, https, socks4, socks5 or socks5h URL without name and password, or empty"
                    .into()
            }
            Self::Bypass(_) => {
                "CIDR blocks, hosts, *.hosts or <local>, each with a port after it or not, separated by \
                 commas, or empty"
                    .into()
            }
            Self::Addresses(_) => {
                "IP addresses and ports such as 127.0.0.1:53, separated by commas, or empty".into()
            }
            Self::LogFilter(_) => "a level or directives such as info,berth=debug".into(),
            Self::LogFormat(_) => "auto, json or pretty".into(),
            Self::PolicyMode(_) => "enforce or report".into(),
        }
    }

    /// What stands for the value where a flag is explained.
    pub(super) fn placeholder(&self) -> &'static str {
        match self {
            Self::Address(_) => "ADDRESS",
            Self::Url(_) | Self::HttpUrl(_) => "URL",
            Self::Name(_) => "NAME",
            Self::Executable(_) | Self::Directory(_) | Self::File(_) => "PATH",
            Self::Text(_) => "TEXT",
            Self::Claim(_) => "CLAIM=VALUE",
            Self::Names(_) => "NAMES",
            Self::Switch(_) => "true|false",
            Self::Word(..) => "WORD",
            Self::Words(_) => "FLAGS",
            Self::U32(..) | Self::U64(..) | Self::Usize(..) | Self::Cores(..) => "NUMBER",
            Self::Paths(_) => "PATHS",
            Self::Jail(_) => "JAIL",
            Self::Duration(..) => "DURATION",
            Self::Size(..) | Self::Limit(..) => "SIZE",
            Self::Header(_) => "TEXT",
            Self::Rules(_) => "RULES",
            Self::Fallback(_) => "WORD",
            Self::Proxy(_) => "URL",
            Self::Bypass(_) => "HOSTS",
            Self::Addresses(_) => "ADDRESSES",
            Self::LogFilter(_) => "FILTER",
            Self::LogFormat(_) => "FORMAT",
            Self::PolicyMode(_) => "MODE",
        }
    }

    /// Whether TOML writes it without quotes.
    pub(super) fn is_number(&self) -> bool {
        matches!(
            self,
            Self::U32(..) | Self::U64(..) | Self::Usize(..) | Self::Switch(_)
        )
    }

    /// Whether its flag alone means something: that it is true.
    pub(super) const fn is_switch(&self) -> bool {
        matches!(self, Self::Switch(_))
    }

    /// Whether values may begin like a flag.
    pub(super) fn takes_flags(&self) -> bool {
        matches!(self, Self::Words(_))
    }
}

/// Empty text takes back what a lower source says.
fn optional(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    let items = text.split([',', ' ']).map(str::trim);
    items.filter(|item| !item.is_empty())
}

fn has_blank(text: &str) -> bool {
    text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn number<T: FromStr + PartialOrd>(text: &str, range: &RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|number| range.contains(number))
}

fn duration(
    text: &str,
    range: &RangeInclusive<Duration>,
    wanted: &dyn Fn() -> String,
) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if range.contains(&time) => Ok(time),
        // The likeliest mistake has its own hint.
        Err(_) if text.parse::<u64>().is_ok() => {
            Err(format!("{}: a unit is missing, as in {text}s", wanted()))
        }
        _ => Err(wanted()),
    }
}

/// Sizes too big for bytesize saturate or fail, and are out of every range.
fn size(text: &str) -> Option<u64> {
    text.parse::<ByteSize>().ok().map(|size| size.as_u64())
}

/// Thousandths of a core; more digits than that say nothing.
fn cores(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if part.is_empty() || part.len() > 3 || !digits(whole) || !digits(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    whole
        .checked_mul(1000)?
        .checked_add(format!("{part:0<3}").parse().ok()?)
}

fn show_cores(thousandths: u64) -> String {
    let text = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn show_size(bytes: u64) -> String {
    let text = ByteSize(bytes).display().iec().to_string();
    text.replace(".0 ", "").replace(' ', "")
}

fn between<T>(range: &RangeInclusive<T>, show: impl Fn(&T) -> String) -> String {
    format!("{} to {}", show(range.start()), show(range.end()))
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("must be a URL, not {text:?}: {error}"))?;
    if !matches!(url.scheme(), "ws" | "wss" | "http" | "https") {
        return Err(format!(
            "must be a ws, wss, http or https URL, not {text:?}"
        ));
    }
    // Paths of leases are appended to it, and it is handed to every client, so no secrets either.
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if !plain {
        return Err("must be a URL without user, query and fragment".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_size(text: &str) -> Result<u64, String> {
        let kind = Kind::Limit(1 << 20..=1 << 40, |config| &mut config.browser_memory_limit);
        let mut config = Config::unset();
        kind.apply(&mut config, text)?;
        Ok(config.browser_memory_limit)
    }

    fn try_time(text: &str) -> Result<Duration, String> {
        let range = Duration::from_secs(1)..=Duration::from_secs(3600);
        let kind = Kind::Duration(range, |config| &mut config.lease_ttl);
        let mut config = Config::unset();
        kind.apply(&mut config, text)?;
        Ok(config.lease_ttl)
    }

    #[test]
    fn sizes_have_units_and_ranges() {
        assert_eq!(try_size("2GiB"), Ok(2 << 30));
        assert_eq!(try_size("1.5 GiB"), Ok(3 << 29));
        assert_eq!(try_size("2097152"), Ok(2 << 20));
        assert_eq!(try_size("0"), Ok(0));
        let refused = try_size("1").unwrap_err();
        assert_eq!(refused, r#"must be 0 for none or 1MiB to 1TiB, not "1""#);
        for wrong in ["", "-1", "much", "2 GiBs", "99999999999EiB", "1e3", "ä"] {
            assert!(try_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cores_are_numbers_with_at_most_three_digits_more() {
        for (text, thousandths) in [("2", 2000), ("1.5", 1500), ("0.125", 125), ("0", 0)] {
            assert_eq!(cores(text), Some(thousandths));
            assert_eq!(show_cores(thousandths), text);
        }
        for wrong in [
            "",
            ".5",
            "1.",
            "-1",
            "1e3",
            "0.1234",
            "+1",
            "1.5.5",
            "99999999999999999999",
        ] {
            assert_eq!(cores(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_have_units_and_ranges() {
        for (text, secs) in [("300s", 300), ("5m", 300), ("1h", 3600), ("1m 30s", 90)] {
            assert_eq!(try_time(text), Ok(Duration::from_secs(secs)));
        }
        let refused = try_time("30").unwrap_err();
        assert_eq!(
            refused,
            r#"must be 1s to 1h, not "30": a unit is missing, as in 30s"#
        );
        for wrong in ["", "2h", "0s", "-5s", "soon", "99999999999999999999s"] {
            assert!(try_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn public_urls_are_bare() {
        assert!(base_url("wss://berth.example/cdp").is_ok());
        for wrong in [
            "berth.example",
            "ftp://berth.example",
            "ws://u:p@berth.example",
            "ws://berth.example/?a",
            "ws://berth.example/#a",
            "ws://",
        ] {
            assert!(base_url(wrong).is_err(), "{wrong}");
        }
    }
}
