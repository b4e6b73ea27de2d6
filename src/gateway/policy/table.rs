//! The table: every domain of the protocol, and every command that is not treated as its domain is.
//!
//! Every command that Chromium 156 describes at `/json/protocol` was looked at; `tests/cdp_policy`
//! tells when the browser at hand has a domain that is not here.

use CdpRule::{Code, Machine, Network, Unknown};
use Treatment::{Deny, Pass};

use super::commands::{BROWSER, PAGES, TARGET, TRACING};
use crate::metrics::CdpRule;

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// It goes to the browser, whatever its parameters.
    Pass,
    /// Its parameters decide.
    Look(Look),
    /// It does not go to the browser.
    Deny(CdpRule),
}

/// What is looked for in a command's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// `url` is of the web.
    Url,
    /// `files` are the lease's.
    Files,
    /// `data.files` are the lease's, and URLs among `data.items` of the web.
    Drag,
    /// Nothing but `disposeOnDetach`.
    Context,
    /// Only the browser is traced.
    Trace,
    /// `downloadPath` is replaced by the lease's directory.
    Download,
    /// The command in `message` is treated as if it came alone.
    Nested,
}

/// The commands of one part of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// Its name, before the dot.
    pub name: &'static str,
    /// What becomes of its commands that are not listed.
    pub others: Treatment,
    /// Why.
    pub why: &'static str,
    /// Those that are listed.
    pub commands: &'static [Command],
}

/// A command that is treated in a way of its own.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its whole name.
    pub name: &'static str,
    /// What becomes of it.
    pub treatment: Treatment,
    /// Why.
    pub why: &'static str,
}

/// What becomes of the command `method`. Names are compared as they are, as Chromium does.
#[must_use]
pub fn treatment(method: &str) -> Treatment {
    match find(method) {
        Some((_, Some(command))) => command.treatment,
        Some((domain, None)) => domain.others,
        None => Deny(Unknown),
    }
}

fn find(method: &str) -> Option<(&'static Domain, Option<&'static Command>)> {
    let (name, _) = method.split_once('.')?;
    let at = TABLE
        .binary_search_by(|domain| domain.name.cmp(name))
        .ok()?;
    let domain = TABLE.get(at)?;
    let command = domain.commands.iter().find(|one| one.name == method);
    Some((domain, command))
}

/// The table's own word for a command.
pub(super) fn word(method: &str) -> &'static str {
    match find(method) {
        Some((_, Some(command))) => command.name,
        Some((domain, None)) => domain.name,
        None => "other",
    }
}

const fn pass(name: &'static str, why: &'static str) -> Domain {
    domain(name, Pass, why, &[])
}

const fn deny(name: &'static str, rule: CdpRule, why: &'static str) -> Domain {
    domain(name, Deny(rule), why, &[])
}

const fn domain(
    name: &'static str,
    others: Treatment,
    why: &'static str,
    commands: &'static [Command],
) -> Domain {
    Domain {
        name,
        others,
        why,
        commands,
    }
}

pub(super) const fn command(
    name: &'static str,
    treatment: Treatment,
    why: &'static str,
) -> Command {
    Command {
        name,
        treatment,
        why,
    }
}

const PAGE: &str = "of one page";
pub(super) const OWN: &str = "of the lease's own browser";
pub(super) const EMULATED: &str = "emulated, no device is touched";

/// Every domain, by name.
pub const TABLE: &[Domain] = &[
    pass("Accessibility", PAGE),
    pass("Ads", PAGE),
    pass("Animation", PAGE),
    pass("Audits", PAGE),
    pass("Autofill", PAGE),
    pass("BackgroundService", OWN),
    pass("BluetoothEmulation", EMULATED),
    domain(
        "Browser",
        Deny(Unknown),
        "commands to the browser are listed one by one",
        BROWSER,
    ),
    pass("CSS", PAGE),
    pass("CacheStorage", PAGE),
    deny("Cast", Machine, "it finds and uses devices of the network"),
    pass("Console", PAGE),
    pass("CrashReportContext", PAGE),
    domain(
        "DOM",
        Pass,
        PAGE,
        &[command(
            "DOM.setFileInputFiles",
            Treatment::Look(Look::Files),
            "pages read the files they are given",
        )],
    ),
    pass("DOMDebugger", PAGE),
    pass("DOMSnapshot", PAGE),
    pass("DOMStorage", PAGE),
    pass("Debugger", PAGE),
    deny(
        "DeviceAccess",
        Machine,
        "it grants pages devices of the machine",
    ),
    pass("DeviceOrientation", EMULATED),
    pass("DigitalCredentials", EMULATED),
    pass("Emulation", EMULATED),
    pass("EventBreakpoints", PAGE),
    deny(
        "Extensions",
        Code,
        "extensions may do what this policy denies, files included",
    ),
    pass("FedCm", PAGE),
    domain(
        "Fetch",
        Pass,
        PAGE,
        &[command(
            "Fetch.continueRequest",
            Treatment::Look(Look::Url),
            "it may send a request elsewhere",
        )],
    ),
    pass(
        "FileSystem",
        "of the page's private files, which are none of the machine",
    ),
    pass("FindInPage", PAGE),
    pass("HeadlessExperimental", PAGE),
    pass("HeapProfiler", PAGE),
    pass("IO", "it reads streams that the same session was given"),
    pass("IndexedDB", PAGE),
    domain(
        "Input",
        Pass,
        PAGE,
        &[command(
            "Input.dispatchDragEvent",
            Treatment::Look(Look::Drag),
            "pages read the files that are dropped on them",
        )],
    ),
    pass("Inspector", PAGE),
    pass("LayerTree", PAGE),
    pass("Log", PAGE),
    pass("Media", PAGE),
    pass("Memory", OWN),
    domain(
        "Network",
        Pass,
        PAGE,
        &[command(
            "Network.loadNetworkResource",
            Treatment::Look(Look::Url),
            "it loads for the client, not for a page",
        )],
    ),
    pass("Overlay", PAGE),
    deny(
        "PWA",
        Machine,
        "it installs applications and opens files with them",
    ),
    domain("Page", Pass, PAGE, PAGES),
    pass("Performance", PAGE),
    pass("PerformanceTimeline", PAGE),
    pass("Preload", PAGE),
    pass("Profiler", PAGE),
    pass("Runtime", PAGE),
    pass("Schema", PAGE),
    pass("Security", OWN),
    pass("ServiceWorker", PAGE),
    pass("SmartCardEmulation", EMULATED),
    pass("Storage", OWN),
    deny(
        "SystemInfo",
        Machine,
        "it tells of the machine: hardware, command line, processes",
    ),
    domain(
        "Target",
        Deny(Unknown),
        "commands to the browser are listed one by one",
        TARGET,
    ),
    deny("Tethering", Network, "it opens ports on the machine"),
    domain(
        "Tracing",
        Deny(Unknown),
        "commands to the browser are listed one by one",
        TRACING,
    ),
    pass("WebAudio", PAGE),
    pass("WebAuthn", EMULATED),
    pass("WebMCP", PAGE),
];
