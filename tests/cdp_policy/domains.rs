//! What the browser at hand knows has been judged.

use super::*;

/// Words that parameters have which lead past the browser.
const TELLING: [&str; 8] = [
    "path",
    "file",
    "directory",
    "proxy",
    "host",
    "port",
    "url",
    "command",
];

/// Parameters that have such a word in them and lead nowhere, by command.
const HARMLESS: &[&str] = &[
    "Autofill.",
    "Browser.addPrivacySandboxEnrollmentOverride",
    "BluetoothEmulation.enable",
    "CSS.",
    "CacheStorage.",
    "DOM.pushNodeByPathToFrontend",
    "DOMDebugger.",
    "Debugger.",
    "Emulation.setDeviceMetricsOverride",
    "FedCm.openUrl",
    "Fetch.enable",
    "FileSystem.getDirectory",
    "Input.dispatchKeyEvent",
    "Input.dispatchDragEvent",
    "Network.",
    "Overlay.",
    "Page.deleteCookie",
    "Page.enable",
    "Page.setDeviceMetricsOverride",
    "Page.addScriptToEvaluateOnNewDocument",
    "Page.captureScreenshot",
    "Page.createIsolatedWorld",
    "Page.getResourceContent",
    "Page.produceCompilationCache",
    "Page.searchInResource",
    "Page.screencastFrameAck",
    "Page.startScreencast",
    "Page.setRPHRegistrationMode",
    "Page.setSPCTransactionMode",
    "Page.setBypassCSP",
    "Page.printToPDF",
    "Profiler.",
    "Runtime.",
    "ServiceWorker.",
    "Storage.",
    "WebAuthn.",
    "Tracing.",
    "Memory.",
    "HeapProfiler.",
    "DOMSnapshot.",
    "SmartCardEmulation.",
    "Log.startViolationsReport",
    "LayerTree.",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_domain_of_the_browser_at_hand_has_been_judged() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let url = format!("{}/json/protocol", lease.cdp_http_url);
    let protocol: Value =
        serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap();
    let domains = protocol["domains"].as_array().unwrap();
    assert!(domains.len() > 40);
    let mut unjudged = Vec::new();
    for domain in domains {
        let name = domain["domain"].as_str().unwrap();
        if !policy::TABLE.iter().any(|known| known.name == name) {
            unjudged.push(format!("the domain {name} is in no row"));
            continue;
        }
        for command in domain["commands"].as_array().into_iter().flatten() {
            let method = format!("{name}.{}", command["name"].as_str().unwrap());
            if policy::treatment(&method) != Treatment::Pass {
                let unknown = Treatment::Deny(berth::metrics::CdpRule::Unknown);
                if policy::treatment(&method) == unknown {
                    unjudged.push(format!("{method} is not listed"));
                }
                continue;
            }
            if HARMLESS.iter().any(|start| method.starts_with(start)) {
                continue;
            }
            for param in command["parameters"].as_array().into_iter().flatten() {
                let param = param["name"].as_str().unwrap();
                let word = param.to_lowercase();
                if TELLING.iter().any(|telling| word.contains(telling)) {
                    unjudged.push(format!("{method} passes with {param}"));
                }
            }
        }
    }
    assert!(unjudged.is_empty(), "{unjudged:#?}");
    broker.release(&lease).await;
    broker.stop().await;
}
