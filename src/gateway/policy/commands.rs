//! The commands of the table that are many: those to the browser, one by one.

use CdpRule::{Bypass, Code, Machine, Network};
use Treatment::{Deny, Pass};

use super::table::{Command, EMULATED, Look, OWN, Treatment, command};
use crate::metrics::CdpRule;

pub(super) const BROWSER: &[Command] = &[
    command("Browser.addMockCamera", Pass, EMULATED),
    command("Browser.addPrivacySandboxEnrollmentOverride", Pass, OWN),
    command("Browser.cancelDownload", Pass, OWN),
    command(
        "Browser.close",
        Pass,
        "it ends the lease's own browser, and the lease with it",
    ),
    command(
        "Browser.crash",
        Deny(Machine),
        "to the operator it is a fault of the machine",
    ),
    command(
        "Browser.crashGpuProcess",
        Deny(Machine),
        "to the operator it is a fault of the machine",
    ),
    command(
        "Browser.executeBrowserCommand",
        Deny(Machine),
        "it drives the browser's own user interface",
    ),
    command(
        "Browser.getBrowserCommandLine",
        Deny(Machine),
        "it tells paths of the machine",
    ),
    command("Browser.getGlobalPrivacyControl", Pass, OWN),
    command("Browser.getHistogram", Pass, OWN),
    command("Browser.getHistograms", Pass, OWN),
    command("Browser.getVersion", Pass, OWN),
    command("Browser.getWindowBounds", Pass, OWN),
    command("Browser.getWindowForTarget", Pass, OWN),
    command("Browser.grantPermissions", Pass, OWN),
    command("Browser.resetPermissions", Pass, OWN),
    command("Browser.setContentsSize", Pass, OWN),
    command(
        "Browser.setDockTile",
        Deny(Machine),
        "it draws on the machine's desktop",
    ),
    command(
        "Browser.setDownloadBehavior",
        Treatment::Look(Look::Download),
        "clients name a directory of their own machine",
    ),
    command("Browser.setGlobalPrivacyControl", Pass, OWN),
    command("Browser.setPermission", Pass, OWN),
    command("Browser.setWindowBounds", Pass, OWN),
];

pub(super) const PAGES: &[Command] = &[
    command(
        "Page.addCompilationCache",
        Deny(Code),
        "compiled code is run as it is, without the checks that scripts undergo",
    ),
    command(
        "Page.handleFileChooser",
        Treatment::Look(Look::Files),
        "pages read the files they are given",
    ),
    command(
        "Page.navigate",
        Treatment::Look(Look::Url),
        "files and the browser's own pages are not of the web",
    ),
    command(
        "Page.setDownloadBehavior",
        Treatment::Look(Look::Download),
        "clients name a directory of their own machine",
    ),
];

pub(super) const TARGET: &[Command] = &[
    command("Target.activateTarget", Pass, OWN),
    command(
        "Target.attachToBrowserTarget",
        Pass,
        "its session comes over the same connection",
    ),
    command(
        "Target.attachToTarget",
        Pass,
        "its session comes over the same connection",
    ),
    command(
        "Target.autoAttachRelated",
        Pass,
        "its sessions come over the same connection",
    ),
    command("Target.closeTarget", Pass, OWN),
    command(
        "Target.createBrowserContext",
        Treatment::Look(Look::Context),
        "its proxy would go around the broker's egress",
    ),
    command(
        "Target.createTarget",
        Treatment::Look(Look::Url),
        "files and the browser's own pages are not of the web",
    ),
    command("Target.detachFromTarget", Pass, OWN),
    command("Target.disposeBrowserContext", Pass, OWN),
    command(
        "Target.exposeDevToolsProtocol",
        Deny(Bypass),
        "scripts of pages would send commands past this policy",
    ),
    command("Target.getBrowserContexts", Pass, OWN),
    command(
        "Target.getDevToolsTarget",
        Deny(Bypass),
        "the developer tools would send commands past this policy",
    ),
    command("Target.getTargetInfo", Pass, OWN),
    command("Target.getTargets", Pass, OWN),
    command(
        "Target.openDevTools",
        Deny(Bypass),
        "the developer tools would send commands past this policy",
    ),
    command(
        "Target.sendMessageToTarget",
        Treatment::Look(Look::Nested),
        "it wraps a command",
    ),
    command(
        "Target.setAutoAttach",
        Pass,
        "its sessions come over the same connection",
    ),
    command("Target.setDiscoverTargets", Pass, OWN),
    command(
        "Target.setRemoteLocations",
        Deny(Network),
        "it makes the browser connect to others",
    ),
];

pub(super) const TRACING: &[Command] = &[
    command("Tracing.end", Pass, OWN),
    command("Tracing.getCategories", Pass, OWN),
    command("Tracing.getTrackEventDescriptor", Pass, OWN),
    command("Tracing.recordClockSyncMarker", Pass, OWN),
    command("Tracing.requestMemoryDump", Pass, OWN),
    command(
        "Tracing.start",
        Treatment::Look(Look::Trace),
        "some of its sources are the machine's, and some of its ways end in a file",
    ),
];
