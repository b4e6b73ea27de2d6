//! The policy as documentation.

use super::table::{Look, TABLE, Treatment};
use crate::metrics::CdpRule;

/// The policy as the Markdown page that is kept as `docs/cdp-policy.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(INTRODUCTION);
    text += "\n## Rules\n\n| rule | denies |\n|---|---|\n";
    for rule in CdpRule::ALL {
        text += &format!("| `{}` | {} |\n", rule.as_str(), denies(rule));
    }
    text += "\n## Commands\n\n\
             A domain that is not listed is denied (`unknown`).\n\n\
             | command | decision | why |\n|---|---|---|\n";
    for domain in TABLE {
        for command in domain.commands {
            let decision = decision(command.treatment);
            text += &format!("| `{}` | {decision} | {} |\n", command.name, command.why);
        }
        let others = if domain.commands.is_empty() {
            ""
        } else {
            " (others)"
        };
        let decision = decision(domain.others);
        text += &format!(
            "| `{}.*`{others} | {decision} | {} |\n",
            domain.name, domain.why
        );
    }
    text
}

fn decision(treatment: Treatment) -> String {
    match treatment {
        Treatment::Pass => "passes".into(),
        Treatment::Deny(rule) => format!("denied (`{}`)", rule.as_str()),
        Treatment::Look(look) => match look {
            Look::Url => "passes if `url` is of the web (`scheme`)",
            Look::Files => "passes if `files` are the lease's (`path`)",
            Look::Drag => {
                "passes if `data.files` are the lease's (`path`) and URLs in `data.items` of the \
                 web (`scheme`)"
            }
            Look::Context => "passes with nothing but `disposeOnDetach` (`network`)",
            Look::Trace => {
                "passes without `perfettoConfig`, `enableSystrace` and a `tracingBackend` of the \
                 system (`machine`)"
            }
            Look::Download => "passes with `downloadPath` replaced by the lease's directory",
            Look::Nested => "as the command in `message`",
        }
        .into(),
    }
}

const fn denies(rule: CdpRule) -> &'static str {
    match rule {
        CdpRule::Scheme => {
            "URLs other than `http:`, `https:`, `data:`, `javascript:`, `blob:` of those, \
             `about:blank` and `about:srcdoc`"
        }
        CdpRule::Path => "paths of anything but files directly in the lease's own directory",
        CdpRule::Network => "proxies, ports and connections that the broker's egress does not see",
        CdpRule::Machine => "the machine: its devices, its description, its desktop",
        CdpRule::Code => "code that runs with more rights than a page's scripts",
        CdpRule::Bypass => "ways to send commands past this policy",
        CdpRule::Unknown => "commands to the browser, and domains, that nobody has judged",
        CdpRule::Malformed => "what is no CDP command to every parser alike",
    }
}

const INTRODUCTION: &str = "\
<!-- Generated from src/gateway/policy: BERTH_UPDATE_DOCS=1 cargo test --lib gateway::policy -->

# The CDP policy

A leased browser is one client's alone. Over the gateway the client may do with it what stays inside
of it: pages, scripts, cookies, network interception, emulation, tracing. What reaches past it, to
files and devices of the machine, to other networks, or around this policy, is denied.

* Every command is judged, whatever the session it is for: the browser's, a page's, a worker's. Every
  session of a client comes over a connection that passes the gateway.
* A denied command does not reach the browser. Its client gets an error as from the browser, code
  -32000: `berth: Page.navigate to file: is denied by the broker's CDP policy (scheme)`. The session
  lives on. Other answers may come first.
* After 1000 denied commands the lease ends with the reason `POLICY`, its sockets with close code 4010.
* A message is one JSON object of `id` (a whole number of 32 bits), `method`, `sessionId` and `params`, each at
  most once, as UTF-8 in a text message of at most 100 MiB, fragmented or not. Anything else is
  denied (`malformed`), binary messages included; a longer one ends the connection with 1009.
  Commands whose parameters decide may have no doubled key at any depth.
* `--cdp-policy report` denies nothing and changes nothing: it counts
  (`berth_cdp_denied_total{mode=\"report\"}`) and logs (`cdp.denied`) what `enforce` would deny.
* `/json/new`, `/json/close` and `/json/activate` of the browser's port are not served at all.

Downloads go to the lease's directory, wherever a client wants them. Their names there, and how to
fetch them and bring files for uploads, are in [OPERATIONS.md](OPERATIONS.md#files-of-a-lease).
";

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    #[test]
    fn the_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cdp-policy.md");
        if env::var_os("BERTH_UPDATE_DOCS").is_some() {
            fs::write(&path, reference()).unwrap();
        }
        let page = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            page == reference(),
            "docs/cdp-policy.md is not what the table says; update it with \
             BERTH_UPDATE_DOCS=1 cargo test --lib gateway::policy"
        );
    }
}
