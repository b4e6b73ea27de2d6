//! The Kubernetes manifests.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    effective::Effective,
    files::{self, list, str, yaml},
    image,
};

const FOLDER: &str = "deploy/kubernetes";

fn manifest(name: &str) -> Value {
    yaml(&format!("{FOLDER}/{name}.yaml"))
}

pub fn pod() -> Value {
    manifest("deployment")["spec"]["template"].clone()
}

pub fn container() -> Value {
    let pod = pod();
    let containers = list(&pod["spec"]["containers"]);
    assert_eq!(containers.len(), 1);
    containers[0].clone()
}

/// The environment as the kubelet would make it.
fn environment() -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = Vec::new();
    for one in list(&container()["env"]) {
        let value = match one["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("status.podIP") => "10.1.2.3".to_owned(),
            Some("metadata.name") => "berth-5d9c7-x2x4z".to_owned(),
            Some(other) => panic!("what is {other}?"),
            // Only what stands before can be referred to.
            None => env
                .iter()
                .fold(str(&one["value"]).to_owned(), |text, (name, value)| {
                    text.replace(&format!("$({name})"), value)
                }),
        };
        assert!(!value.contains("$("), "{value}");
        env.push((str(&one["name"]).to_owned(), value));
    }
    env
}

pub fn settings() -> Effective {
    // Nothing replaces the command of the image.
    let container = container();
    assert!(container["command"].is_null() && container["args"].is_null());
    image::settings(&format!("{FOLDER}/{}", config_file()), &environment())
}

/// The file that the generated ConfigMap is made of.
fn config_file() -> String {
    let kustomization = manifest("kustomization");
    let made = list(&kustomization["configMapGenerator"]);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["name"], volume("config")["configMap"]["name"]);
    str(&made[0]["files"][0]).to_owned()
}

fn volume(name: &str) -> Value {
    let pod = pod();
    let volumes = list(&pod["spec"]["volumes"]).iter();
    let mut found = volumes.filter(|volume| volume["name"] == name);
    found
        .next()
        .unwrap_or_else(|| panic!("no volume {name}"))
        .clone()
}

/// Where a volume is mounted.
fn mounted(name: &str) -> String {
    let container = container();
    let mounts = list(&container["volumeMounts"]).iter();
    let mut found = mounts.filter(|mount| mount["name"] == name);
    str(&found.next().unwrap()["mountPath"]).to_owned()
}

/// The number of a port of the container, by name or number.
pub fn port(of: &Value) -> u64 {
    if let Some(number) = of.as_u64() {
        return number;
    }
    let container = container();
    let mut ports = list(&container["ports"]).iter();
    let port = ports.find(|port| port["name"] == *of);
    let port = port.unwrap_or_else(|| panic!("the container has no port {of}"));
    port["containerPort"].as_u64().unwrap()
}

#[test]
fn every_manifest_is_applied() {
    let kustomization = manifest("kustomization");
    let mut applied: Vec<_> = list(&kustomization["resources"]).iter().map(str).collect();
    applied.push("kustomization.yaml");
    applied.sort_unstable();
    let files = files::names(FOLDER);
    let there: Vec<_> = files
        .iter()
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    assert_eq!(applied, there);
    assert_eq!(
        kustomization["namespace"],
        manifest("namespace")["metadata"]["name"]
    );
    let image = &kustomization["images"][0];
    assert_eq!(image["name"], container()["image"]);
    assert_eq!(image["newTag"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_settings_exist_and_fit_the_pod() {
    let settings = settings();
    assert!(settings.is_open(), "the kubelet probes the pod's address");
    let ports = ["grpc", "cdp", "ops"].map(|name| port(&json!(name)));
    assert_eq!(ports, settings.ports());
    let public = url::Url::parse(settings.text("gateway_public_url")).unwrap();
    assert_eq!(public.host_str(), Some("10.1.2.3"));
    assert_eq!(public.port().map(u64::from), Some(ports[1]));
    // Who may call is a secret that is mounted.
    let tokens = std::path::Path::new(settings.text("auth_tokens"));
    assert_eq!(tokens.parent().unwrap().to_str().unwrap(), mounted("auth"));
    assert_eq!(tokens.file_name().unwrap(), "tokens.toml");
    assert!(str(&volume("auth")["secret"]["secretName"]).starts_with("berth"));
    assert_eq!(settings.text("ops_auth"), "off", "Prometheus has no token");
    // What is written to is mounted; the rest is read-only.
    assert_eq!(settings.text("run_dir"), mounted("run"));
    assert_eq!(mounted("shm"), "/dev/shm");
    assert_eq!(volume("shm")["emptyDir"]["medium"], "Memory");
    assert_eq!(
        image::config(),
        format!("{}/{}", mounted("config"), config_file())
    );
    let container = container();
    let memory = files::size(str(&container["resources"]["limits"]["memory"]));
    assert!(
        memory >= settings.browsers_memory() + (1 << 30),
        "{memory} bytes"
    );
}

#[test]
fn it_is_left_the_time_to_drain() {
    let pod = pod();
    let grace = files::seconds(&pod["spec"]["terminationGracePeriodSeconds"]);
    let pause = files::seconds(&container()["lifecycle"]["preStop"]["sleep"]["seconds"]);
    let drain = settings().time("shutdown_timeout");
    assert!(
        grace >= pause + drain + Duration::from_secs(5),
        "{grace:?} for {pause:?} and {drain:?}"
    );
}

#[test]
fn it_may_no_more_than_it_must() {
    let pod = pod();
    let (user, group) = image::user();
    let security = &pod["spec"]["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["runAsUser"], user);
    assert_eq!(security["runAsGroup"], group);
    assert_eq!(security["fsGroup"], group);
    assert_eq!(security["seccompProfile"]["type"], "Localhost");
    let own = &container()["securityContext"];
    assert_eq!(own["readOnlyRootFilesystem"], true);
    assert_eq!(own["allowPrivilegeEscalation"], false);
    assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}));
    let account = manifest("serviceaccount");
    assert_eq!(
        pod["spec"]["serviceAccountName"],
        account["metadata"]["name"]
    );
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!(account["automountServiceAccountToken"], false);
}

#[test]
fn whatever_selects_pods_selects_these() {
    let labels = &pod()["metadata"]["labels"];
    let monitor = yaml("deploy/prometheus/podmonitor.yaml");
    let selectors = [
        &manifest("deployment")["spec"]["selector"]["matchLabels"],
        &manifest("service")["spec"]["selector"],
        &manifest("poddisruptionbudget")["spec"]["selector"]["matchLabels"],
        &manifest("networkpolicy")["spec"]["podSelector"]["matchLabels"],
        &monitor["spec"]["selector"]["matchLabels"],
    ]
    .map(Clone::clone);
    for selector in selectors {
        assert_eq!(selector, *labels);
    }
    // The rules look for this job.
    let job = str(&monitor["spec"]["jobLabel"]);
    assert_eq!(labels[job], "berth");
    assert_eq!(
        monitor["metadata"]["namespace"],
        manifest("namespace")["metadata"]["name"]
    );
}

#[test]
fn whatever_names_a_port_names_the_right_one() {
    let [grpc, cdp, ops] = settings().ports();
    let service = manifest("service");
    let served = list(&service["spec"]["ports"]);
    assert_eq!(served.len(), 1);
    assert_eq!(port(&served[0]["targetPort"]), grpc);
    assert_eq!(served[0]["port"], grpc);
    let policy = manifest("networkpolicy");
    let let_in: Vec<Vec<u64>> = list(&policy["spec"]["ingress"])
        .iter()
        .map(|rule| {
            assert!(!list(&rule["from"]).is_empty(), "not from everywhere");
            let ports = list(&rule["ports"]).iter();
            ports.map(|one| port(&one["port"])).collect()
        })
        .collect();
    assert_eq!(let_in, [vec![grpc, cdp], vec![ops]]);
    let annotations = &pod()["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], ops.to_string());
    let monitor = yaml("deploy/prometheus/podmonitor.yaml");
    assert_eq!(
        port(&monitor["spec"]["podMetricsEndpoints"][0]["port"]),
        ops
    );
}

#[test]
fn a_client_finds_its_broker_again_as_long_as_its_lease_may_live() {
    let service = manifest("service");
    assert_eq!(service["spec"]["sessionAffinity"], "ClientIP");
    let kept = &service["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"];
    assert!(files::seconds(kept) >= settings().time("lease_max_lifetime"));
}
