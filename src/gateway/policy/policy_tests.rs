use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::*;

fn rules() -> Rules {
    Rules {
        files: PathBuf::from("/run/b/files"),
    }
}

fn judge(message: impl AsRef<[u8]>) -> Verdict {
    inspect(message.as_ref(), &rules())
}

fn command(method: &str, params: &Value) -> String {
    json!({ "id": 7, "method": method, "params": params, "sessionId": "S" }).to_string()
}

/// The rule by which a message is denied; `None` when it is not.
fn rule(verdict: &Verdict) -> Option<CdpRule> {
    match verdict {
        Verdict::Deny(denial) => Some(denial.rule),
        _ => None,
    }
}

#[test]
fn the_table_is_in_order_and_names_what_it_says() {
    assert!(TABLE.is_sorted_by(|one, other| one.name < other.name));
    for domain in TABLE {
        assert!(
            domain
                .commands
                .is_sorted_by(|one, other| one.name < other.name)
        );
        for command in domain.commands {
            let (name, _) = command.name.split_once('.').unwrap();
            assert_eq!(name, domain.name);
            assert_eq!(treatment(command.name), command.treatment);
            assert_ne!(command.treatment, domain.others, "{}", command.name);
        }
        assert_eq!(treatment(&format!("{}.x", domain.name)), domain.others);
    }
    assert_eq!(
        treatment("Nonsense.enable"),
        Treatment::Deny(CdpRule::Unknown)
    );
    assert_eq!(treatment("enable"), Treatment::Deny(CdpRule::Unknown));
    assert_eq!(
        treatment("page.navigate"),
        Treatment::Deny(CdpRule::Unknown)
    );
}

#[test]
fn the_answer_is_an_error_as_the_browser_has_it() {
    let params = json!({ "url": "FILE:///etc/passwd" });
    let Verdict::Deny(denial) = judge(command("Page.navigate", &params)) else {
        panic!("it passes");
    };
    assert_eq!(denial.method, "Page.navigate");
    let answer: Value = serde_json::from_str(&denial.answer()).unwrap();
    let message = "berth: Page.navigate to file: is denied by the broker's CDP policy (scheme)";
    let error = json!({ "code": -32000, "message": message });
    assert_eq!(answer, json!({ "id": 7, "sessionId": "S", "error": error }));

    let Verdict::Deny(denial) = judge("{\"id\": 3, \"sessionId\": \"T\", \"method\": 5}") else {
        panic!("it passes");
    };
    let answer: Value = serde_json::from_str(&denial.answer()).unwrap();
    assert_eq!(
        (&answer["id"], &answer["sessionId"]),
        (&3.into(), &"T".into())
    );
    assert!(judge_answer_is_short(&command(
        &"x".repeat(10_000),
        &json!({})
    )));
}

fn judge_answer_is_short(message: &str) -> bool {
    matches!(judge(message), Verdict::Deny(denial) if denial.answer().len() < 1000)
}

#[test]
fn what_another_parser_might_read_otherwise_is_no_command() {
    let deep = format!(
        "{{\"id\":1,\"method\":\"Page.navigate\",\"params\":{}1{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let doubled =
        r#"{"id":1,"method":"Page.navigate","params":{"url":"about:blank","url":"file:///x"}}"#;
    let hidden = r#"{"id":1,"method":"Input.dispatchDragEvent","params":{"data":{"files":[],"files":["/x"]}}}"#;
    let lone = r#"{"id":1,"method":"Page.navigate","params":{"url":"\ud800file:///x"}}"#;
    for message in [
        "",
        "null",
        "[]",
        "\"Page.navigate\"",
        r#"[{"id":1,"method":"Page.enable"}]"#,
        r#"{"id":1}"#,
        r#"{"method":"Page.enable"}"#,
        r#"{"id":1,"method":"Page.enable"} x"#,
        r#"{"id":1,"method":"Page.enable"}{"id":2,"method":"Page.enable"}"#,
        "{\"id\":1,\"method\":\"Page.enable\"}\0",
        "\u{feff}{\"id\":1,\"method\":\"Page.enable\"}",
        r#"/**/{"id":1,"method":"Page.enable"}"#,
        r#"{"id":1,"method":"Page.enable",}"#,
        r#"{'id':1,'method':'Page.enable'}"#,
        "{\"id\":1,\"method\":\"Page.enable\",\"params\":{\"a\":\"\u{1}\"}}",
        r#"{"id":1,"method":"Page.enable","method":"Page.navigate"}"#,
        r#"{"id":1,"method":"Page.enable","\u006dethod":"Page.navigate"}"#,
        r#"{"id":1,"id":2,"method":"Page.enable"}"#,
        r#"{"id":1,"method":"Page.enable","sessionId":"a","sessionId":"b"}"#,
        r#"{"id":1,"method":"Page.enable","params":{},"params":{}}"#,
        r#"{"id":1,"method":"Page.enable","Method":"x"}"#,
        r#"{"id":1,"method":"Page.enable","__proto__":{}}"#,
        r#"{"id":"1","method":"Page.enable"}"#,
        r#"{"id":1.0,"method":"Page.enable"}"#,
        r#"{"id":1e0,"method":"Page.enable"}"#,
        r#"{"id":4294967297,"method":"Page.enable"}"#,
        r#"{"id":99999999999999999999999999,"method":"Page.enable"}"#,
        r#"{"id":null,"method":"Page.enable"}"#,
        r#"{"id":1,"method":null}"#,
        r#"{"id":1,"method":["Page.enable"]}"#,
        r#"{"id":1,"method":"Page.\ud800enable"}"#,
        r#"{"id":1,"method":"Page.enable","sessionId":null}"#,
        r#"{"id":1,"method":"Page.enable","sessionId":5}"#,
        r#"{"id":1,"method":"Page.navigate","params":[]}"#,
        r#"{"id":1,"method":"Page.navigate","params":{"url":5}}"#,
        &deep,
        doubled,
        hidden,
        lone,
    ] {
        assert_eq!(rule(&judge(message)), Some(CdpRule::Malformed), "{message}");
    }
    for bytes in [
        &b"{\"id\":1,\"method\":\"Page.enable\",\"params\":{\"a\":\"\xff\"}}"[..],
        b"\xd8\x5a\x00\x00\x00\x10",
        b"{\0\"\0i\0d\0",
    ] {
        assert_eq!(rule(&judge(bytes)), Some(CdpRule::Malformed));
    }
    assert_eq!(
        rule(&Verdict::Deny(Denial::binary())),
        Some(CdpRule::Malformed)
    );
}

#[test]
fn what_is_one_command_to_every_parser_passes() {
    let deep = format!(
        "{{\"id\":1,\"method\":\"Page.enable\",\"params\":{}1{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    for message in [
        r#"{"id":1,"method":"Page.enable"}"#,
        " {\t\"method\" : \"Page.enable\" ,\r\n \"id\":-1 } ",
        r#"{"params":{"a":[1,{"b":null}]},"sessionId":"","id":2147483647,"method":"Page.enable"}"#,
        r#"{"\u0069d":1,"\u006dethod":"\u0050age.enable"}"#,
        r#"{"id":1,"method":"Page.enable","params":null}"#,
        r#"{"id":1,"method":"Runtime.evaluate","params":{"expression":"'\ud800'"}}"#,
        r#"{"id":1,"method":"Page.navigate","params":{"url":"https://a.example/"}}"#,
        r#"{"id":1,"method":"Page.navigate"}"#,
        r#"{"id":1,"method":"Fetch.continueRequest","params":{"requestId":"r"}}"#,
        r#"{"id":1,"method":"Target.createTarget","params":{"url":""}}"#,
        &deep,
    ] {
        assert_eq!(judge(message), Verdict::Pass, "{message}");
    }
}

#[test]
fn escapes_hide_nothing() {
    for message in [
        r#"{"id":1,"method":"\u0050age.navigate","params":{"url":"file:///x"}}"#,
        r#"{"id":1,"method":"Page.navigate","params":{"\u0075rl":"\u0066ile:///x"}}"#,
        r#"{"id":1,"method":"Page.navigate","params":{"url":"fi\nle:///x"}}"#,
        r#"{"id":1,"method":"Page.navigate","params":{"url":"fi\u0009le\u000d:///x"}}"#,
        r#"{"id":1,"method":"Page.navigate","params":{"url":"\u0000\u001f file:///x"}}"#,
        r#"{"params":{"url":"file:\/\/\/x"},"method":"Target.createTarget","id":1}"#,
    ] {
        assert_eq!(rule(&judge(message)), Some(CdpRule::Scheme), "{message}");
    }
}

#[test]
fn only_files_of_the_lease_are_named() {
    let file = |path: &str| {
        let files = json!({ "files": [path], "nodeId": 1 });
        judge(command("DOM.setFileInputFiles", &files))
    };
    let one = "/run/b/files/a b.txt";
    assert_eq!(file(one), Verdict::PassFiles(vec![one.into()]));
    for path in [
        "/etc/passwd",
        "/run/b/files",
        "/run/b/files/",
        "/run/b/files/.",
        "/run/b/files/..",
        "/run/b/files/../profile/x",
        "/run/b/files/a/../../x",
        "/run/b/files//etc/passwd",
        "//run/b/files/a",
        "/run/b/filesx/a",
        "/run/b/files/a\0",
        "files/a",
        "a",
        "",
        "file:///run/b/files/a",
    ] {
        assert_eq!(rule(&file(path)), Some(CdpRule::Path), "{path:?}");
    }
    for files in [
        json!(null),
        json!("/run/b/files/a"),
        json!([5]),
        json!([one, "/x"]),
    ] {
        let verdict = judge(command(
            "Page.handleFileChooser",
            &json!({ "files": files }),
        ));
        assert_eq!(rule(&verdict), Some(CdpRule::Path), "{files}");
    }
    let drag = |data: Value| judge(command("Input.dispatchDragEvent", &json!({ "data": data })));
    assert_eq!(
        drag(json!({ "items": [], "files": [one] })),
        Verdict::PassFiles(vec![one.into()])
    );
    assert_eq!(
        drag(json!({ "items": [{ "mimeType": "text/plain", "data": "file:///x" }] })),
        Verdict::Pass
    );
    assert_eq!(
        rule(&drag(json!({ "items": [], "files": ["/x"] }))),
        Some(CdpRule::Path)
    );
    let links = "# comment\r\nhttp://a.example/\r\nfile:///x";
    let links = json!({ "items": [{ "mimeType": "Text/URI-List", "data": links }] });
    assert_eq!(rule(&drag(links)), Some(CdpRule::Scheme));
}

#[test]
fn downloads_go_to_the_lease() {
    let place = |method: &str, params: Value| match judge(command(method, &params)) {
        Verdict::Rewrite(text) => {
            let whole: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(
                (&whole["id"], &whole["sessionId"]),
                (&7.into(), &"S".into())
            );
            assert_eq!(whole["method"], method);
            Some(whole["params"].clone())
        }
        verdict => {
            assert_eq!(verdict, Verdict::Pass);
            None
        }
    };
    let ours = json!("/run/b/files");
    let named =
        json!({ "behavior": "allowAndName", "downloadPath": "/home/me", "eventsEnabled": true });
    let placed = place("Browser.setDownloadBehavior", named).unwrap();
    assert_eq!(
        placed,
        json!({ "behavior": "allowAndName", "downloadPath": ours, "eventsEnabled": true })
    );
    let placed = place("Page.setDownloadBehavior", json!({ "behavior": "allow" })).unwrap();
    assert_eq!(placed["downloadPath"], ours);
    let denied = json!({ "behavior": "deny", "downloadPath": "/x" });
    let placed = place("Browser.setDownloadBehavior", denied).unwrap();
    assert_eq!(placed, json!({ "behavior": "deny" }));
    assert!(
        place(
            "Browser.setDownloadBehavior",
            json!({ "behavior": "default" })
        )
        .is_none()
    );
}

#[test]
fn contexts_and_traces_are_plain() {
    for (method, params, wanted) in [
        (
            "Target.createBrowserContext",
            json!({ "disposeOnDetach": true }),
            None,
        ),
        (
            "Target.createBrowserContext",
            json!({ "proxyServer": "socks5://h:1" }),
            Some(CdpRule::Network),
        ),
        (
            "Target.createBrowserContext",
            json!({ "proxyBypassList": "*" }),
            Some(CdpRule::Network),
        ),
        (
            "Target.createBrowserContext",
            json!({ "originsWithUniversalNetworkAccess": ["http://a"] }),
            Some(CdpRule::Network),
        ),
        (
            "Target.createBrowserContext",
            json!({ "new": 1 }),
            Some(CdpRule::Network),
        ),
        (
            "Tracing.start",
            json!({ "categories": "*", "transferMode": "ReturnAsStream" }),
            None,
        ),
        (
            "Tracing.start",
            json!({ "tracingBackend": "auto", "traceConfig": { "enableSystrace": false } }),
            None,
        ),
        (
            "Tracing.start",
            json!({ "perfettoConfig": "" }),
            Some(CdpRule::Machine),
        ),
        (
            "Tracing.start",
            json!({ "tracingBackend": "system" }),
            Some(CdpRule::Machine),
        ),
        (
            "Tracing.start",
            json!({ "traceConfig": { "enableSystrace": true } }),
            Some(CdpRule::Machine),
        ),
    ] {
        assert_eq!(
            rule(&judge(command(method, &params))),
            wanted,
            "{method} {params}"
        );
    }
}

#[test]
fn wrapped_commands_are_judged_as_if_they_came_alone() {
    let wrap = |message: &str| {
        command(
            "Target.sendMessageToTarget",
            &json!({ "message": message, "sessionId": "X" }),
        )
    };
    let inner = |method: &str, params: &Value| {
        json!({ "id": 1, "method": method, "params": params }).to_string()
    };
    assert_eq!(
        judge(wrap(&inner("Page.enable", &json!({})))),
        Verdict::Pass
    );
    let navigate = inner("Page.navigate", &json!({ "url": "file:///x" }));
    let Verdict::Deny(denial) = judge(wrap(&wrap(&navigate))) else {
        panic!("it passes");
    };
    assert_eq!(
        (denial.rule, denial.method),
        (CdpRule::Scheme, "Page.navigate")
    );
    let answer: Value = serde_json::from_str(&denial.answer()).unwrap();
    assert_eq!(answer["id"], 7, "it is the outer one that is answered");

    let save = inner(
        "Page.setDownloadBehavior",
        &json!({ "behavior": "allow", "downloadPath": "/x" }),
    );
    let Verdict::Rewrite(text) = judge(wrap(&save)) else {
        panic!("it is not rewritten");
    };
    let whole: Value = serde_json::from_str(&text).unwrap();
    let message: Value =
        serde_json::from_str(whole["params"]["message"].as_str().unwrap()).unwrap();
    assert_eq!(message["params"]["downloadPath"], "/run/b/files");

    let mut deep = inner("Page.enable", &json!({}));
    for _ in 0..5 {
        deep = wrap(&deep);
    }
    assert_eq!(rule(&judge(deep)), Some(CdpRule::Malformed));
    for params in [
        json!({}),
        json!({ "message": 5 }),
        json!({ "message": "{}" }),
    ] {
        let verdict = judge(command("Target.sendMessageToTarget", &params));
        assert_eq!(rule(&verdict), Some(CdpRule::Malformed), "{params}");
    }
}

/// JSON as clients may write it, keys of commands among it.
fn json_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("id"),
        Just("method"),
        Just("params"),
        Just("url"),
        Just("files"),
        Just("data"),
        Just("message"),
        Just("Page.navigate"),
        Just("file:///x"),
        Just("DOM.setFileInputFiles"),
    ];
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        word.clone().prop_map(|word| format!("{word:?}")),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            vec((word.clone(), inner), 0..4).prop_map(|pairs| {
                let pairs: Vec<_> = pairs
                    .iter()
                    .map(|(key, value)| format!("{key:?}:{value}"))
                    .collect();
                format!("{{{}}}", pairs.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(bytes in vec(any::<u8>(), 0..300)) {
        // Random bytes are no command.
        prop_assert_eq!(rule(&judge(bytes)), Some(CdpRule::Malformed));
    }

    #[test]
    fn what_passes_has_one_method_and_that_passes(message in json_text()) {
        if judge(&message) == Verdict::Pass {
            let whole: Value = serde_json::from_str(&message).unwrap();
            let method = whole["method"].as_str().unwrap();
            prop_assert!(!matches!(treatment(method), Treatment::Deny(_)));
            prop_assert!(!message.contains("file:") || method != "Page.navigate");
        }
    }

    #[test]
    fn no_scheme_but_those_of_the_web_is_opened(
        scheme in "[a-zA-Z][a-zA-Z0-9+.-]{0,12}",
        rest in ".{0,40}",
        before in "[\u{0}-\u{20}]{0,4}",
    ) {
        let url = format!("{before}{scheme}:{rest}");
        let verdict = judge(command("Page.navigate", &json!({ "url": url })));
        let known = ["http", "https", "data", "javascript", "about", "blob"];
        if !known.contains(&scheme.to_ascii_lowercase().as_str()) {
            prop_assert_eq!(rule(&verdict), Some(CdpRule::Scheme), "{:?}", url);
        }
    }
}
