//! The commands whose parameters decide.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    Denial, MAX_NESTED, NO_FILE, Rules, Verdict, cut,
    message::{Head, Malformed},
    nested,
    table::Look,
    urls,
};
use crate::metrics::CdpRule;

/// Decides about the command `whole` by `look`. `depth` counts the messages around it.
pub(super) fn look(
    look: Look,
    head: &Head<'_>,
    mut whole: Map<String, Value>,
    rules: &Rules,
    depth: usize,
) -> Verdict {
    let deny = |rule, what: &str| Verdict::Deny(Denial::new(rule, head, what));
    let params = match whole.get("params") {
        Some(Value::Object(params)) => params,
        None => &Map::new(),
        Some(_) => return deny(CdpRule::Malformed, " with parameters that are no object"),
    };
    match look {
        Look::Url => url(params, deny),
        Look::Files => match files(params.get("files"), rules) {
            Some(paths) => Verdict::PassFiles(paths),
            None => deny(CdpRule::Path, NO_FILE),
        },
        Look::Drag => drag(params, rules, deny),
        Look::Context => {
            // Proxies would go around the broker's egress, origins with rights everywhere around
            // what keeps pages apart. A field that is new is not known to be better.
            let other = params.keys().find(|key| *key != "disposeOnDetach");
            other.map_or(Verdict::Pass, |key| {
                deny(CdpRule::Network, &format!(" with {}", cut(key)))
            })
        }
        Look::Trace => trace(params, deny),
        Look::Download => {
            if place_download(&mut whole, rules) {
                Verdict::Rewrite(Value::Object(whole).to_string())
            } else {
                Verdict::Pass
            }
        }
        Look::Nested => wrapped(head, whole, rules, depth),
    }
}

/// `url`, where it is given.
fn url(params: &Map<String, Value>, deny: impl Fn(CdpRule, &str) -> Verdict) -> Verdict {
    match params.get("url") {
        None => Verdict::Pass,
        // The blank page of `Target.createTarget`.
        Some(Value::String(url)) if url.is_empty() => Verdict::Pass,
        Some(Value::String(url)) => {
            let checked = urls::check(url);
            checked.map_or_else(|what| deny(CdpRule::Scheme, &what), |()| Verdict::Pass)
        }
        Some(_) => deny(CdpRule::Malformed, " with a URL that is no text"),
    }
}

/// The files of a list, if all of them are the lease's.
fn files(list: Option<&Value>, rules: &Rules) -> Option<Vec<PathBuf>> {
    let list = match list {
        None => return Some(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return None,
    };
    list.iter()
        .map(|path| file(path.as_str()?, rules))
        .collect()
}

/// A path of one name directly in the directory: spelled so, whatever else may lead there.
fn file(path: &str, rules: &Rules) -> Option<PathBuf> {
    let name = path
        .strip_prefix(rules.files.to_str()?)?
        .strip_prefix('/')?;
    let plain = !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\0']);
    plain.then(|| Path::new(path).to_owned())
}

/// Files, and links that the page may open when they fall on it.
fn drag(
    params: &Map<String, Value>,
    rules: &Rules,
    deny: impl Fn(CdpRule, &str) -> Verdict,
) -> Verdict {
    let Some(data) = params.get("data").and_then(Value::as_object) else {
        return Verdict::Pass;
    };
    let items = data.get("items").and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        let text = |key| item.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = text("mimeType").to_ascii_lowercase();
        if kind.contains("uri-list") {
            // RFC 2483, section 5: a URL a line, and comments.
            let lines = text("data").lines().filter(|line| !line.starts_with('#'));
            for line in lines.filter(|line| !line.trim().is_empty()) {
                if let Err(what) = urls::check(line) {
                    return deny(CdpRule::Scheme, &what);
                }
            }
        }
    }
    match files(data.get("files"), rules) {
        Some(paths) if paths.is_empty() => Verdict::Pass,
        Some(paths) => Verdict::PassFiles(paths),
        None => deny(CdpRule::Path, NO_FILE),
    }
}

/// What the browser alone is traced by stays allowed.
fn trace(params: &Map<String, Value>, deny: impl Fn(CdpRule, &str) -> Verdict) -> Verdict {
    let set = |key: &str| params.get(key).is_some_and(|value| !value.is_null());
    if set("perfettoConfig") {
        // Its data sources include the kernel, and it may write into a file.
        return deny(CdpRule::Machine, " with perfettoConfig");
    }
    let backend = params.get("tracingBackend");
    if backend.is_some_and(|backend| !matches!(backend.as_str(), Some("auto" | "chrome"))) {
        return deny(
            CdpRule::Machine,
            " with a tracingBackend outside of the browser",
        );
    }
    let config = params.get("traceConfig");
    let system = config.and_then(|config| config.get("enableSystrace"));
    if system.is_some_and(|system| system != &Value::Bool(false)) {
        return deny(CdpRule::Machine, " with enableSystrace");
    }
    Verdict::Pass
}

/// Sends downloads into the lease's directory, wherever the client wants them: clients name a
/// directory of their own machine. Tells whether that changed anything.
fn place_download(whole: &mut Map<String, Value>, rules: &Rules) -> bool {
    let Some(Value::Object(params)) = whole.get_mut("params") else {
        return false;
    };
    let saves = !matches!(
        params.get("behavior").and_then(Value::as_str),
        Some("deny" | "default")
    );
    if saves {
        let place = Value::String(rules.files.to_string_lossy().into_owned());
        params.insert("downloadPath".into(), place);
        true
    } else {
        params.remove("downloadPath").is_some()
    }
}

/// The command in a command, which is text once more.
fn wrapped(head: &Head<'_>, mut whole: Map<String, Value>, rules: &Rules, depth: usize) -> Verdict {
    let inner = whole
        .get_mut("params")
        .and_then(|params| params.get_mut("message"));
    let Some(Value::String(message)) = inner else {
        return Verdict::Deny(Denial::malformed(&Malformed {
            why: "wraps no command",
            id: Some(head.id),
            session: head.session.clone(),
        }));
    };
    if depth + 1 >= MAX_NESTED {
        return Verdict::Deny(Denial::new(CdpRule::Malformed, head, " nested so deep"));
    }
    match nested(message.as_bytes(), rules, depth + 1) {
        Verdict::Rewrite(rewritten) => {
            *message = rewritten;
            Verdict::Rewrite(Value::Object(whole).to_string())
        }
        // Whoever sent the outer command waits for its answer.
        Verdict::Deny(denial) => Verdict::Deny(Denial {
            id: Some(head.id),
            session: head.session.as_deref().map(str::to_owned),
            ..denial
        }),
        passed @ (Verdict::Pass | Verdict::PassFiles(_)) => passed,
    }
}
