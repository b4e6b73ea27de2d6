//! The files of a lease, with real browsers: downloads, uploads, their bounds and their end.

mod support;

use std::path::{Path, PathBuf};

use berth::proto::{AcquireRequest, EndReason, Lease};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use support::{Broker, Cdp, acquire, until};

async fn lease(broker: &Broker) -> Lease {
    acquire(&mut broker.leases(), AcquireRequest::default())
        .await
        .unwrap()
}

/// The files of a lease, by its URL.
struct Files {
    http: Client,
    base: String,
}

impl Files {
    fn of(lease: &Lease) -> Self {
        Self {
            http: Client::new(),
            base: format!("{}/files", lease.cdp_http_url),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let answer = request.body(body).send().await.unwrap();
        let code = answer.status().as_u16();
        (code, answer.bytes().await.unwrap().to_vec())
    }

    async fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.ask(Method::GET, path, Vec::new()).await
    }

    async fn list(&self) -> Value {
        let (code, body) = self.get("").await;
        assert_eq!(code, 200);
        serde_json::from_slice(&body).unwrap()
    }

    /// Waits until a file is there as a whole, and returns what the list says of it.
    async fn complete(&self, name: &str) -> Value {
        let mut found = Value::Null;
        until(name, async || {
            let list = self.list().await;
            let files = list["files"].as_array().unwrap();
            let one = files.iter().find(|one| one["name"] == name);
            found = one.cloned().unwrap_or_default();
            found["state"] == "complete"
        })
        .await;
        found
    }
}

/// Where a lease's browser keeps its files.
fn directories(broker: &Broker) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![broker.run_dir().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                if entry.file_name() == "files" {
                    found.push(entry.path());
                }
                folders.push(entry.path());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_land_in_the_lease_whoever_asks_for_them_and_wherever() {
    let elsewhere = tempfile::tempdir().unwrap();
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let files = Files::of(&lease);
    let url = json!({"url": broker.site.url("/site/data.bin")});
    assert_eq!(files.list().await["files"], json!([]));

    // Without a word of the client's; and again when one that said otherwise has left.
    for _ in 0..2 {
        let mut client = Cdp::connect(&lease.cdp_url).await;
        let page = client.page().await;
        client.call(Some(&page), "Page.navigate", url.clone()).await;
        let found = files.complete("data.bin").await;
        assert_eq!(
            found,
            json!({"name": "data.bin", "size": 200, "state": "complete"})
        );
        assert_eq!(files.get("/data.bin").await, (200, vec![b'd'; 200]));
        let gone = files.ask(Method::DELETE, "/data.bin", Vec::new()).await;
        assert_eq!(gone.0, 204);
        let behavior = json!({"behavior": "deny"});
        client
            .call(None, "Browser.setDownloadBehavior", behavior)
            .await;
        drop(client);
        until("it is gone", async || {
            broker.get(&lease.id).await.attached_clients == 0
        })
        .await;
    }

    // To a directory of the client's, in a context of its own, with names of the browser's.
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let context = client
        .call(None, "Target.createBrowserContext", json!({}))
        .await;
    let context = context["result"]["browserContextId"].clone();
    let behavior = json!({
        "behavior": "allowAndName", "downloadPath": elsewhere.path(), "eventsEnabled": true,
        "browserContextId": context,
    });
    let set = client
        .call(None, "Browser.setDownloadBehavior", behavior)
        .await;
    assert!(set["result"].is_object(), "{set}");
    let create = json!({"url": broker.site.url("/"), "browserContextId": context});
    let target = client.call(None, "Target.createTarget", create).await;
    let attach = json!({"targetId": target["result"]["targetId"], "flatten": true});
    let page = client.call(None, "Target.attachToTarget", attach).await;
    let page = page["result"]["sessionId"].as_str().unwrap().to_owned();
    client.send(Some(&page), "Page.navigate", url).await;
    let guid = loop {
        let message = client.next().await.unwrap();
        if message["method"] == "Browser.downloadWillBegin" {
            break message["params"]["guid"].as_str().unwrap().to_owned();
        }
    };
    assert_eq!(files.complete(&guid).await["size"], 200);
    let left = std::fs::read_dir(elsewhere.path()).unwrap().count();
    assert_eq!(left, 0, "nothing of it is elsewhere");
    broker.release(&lease).await;
    drop(files);
    drop(client);
    broker.stop().await;
}

/// What a page reads of the first of `files`, given to an input of it.
async fn given(client: &mut Cdp, page: &str, path: &str) -> Result<String, String> {
    let make = "globalThis.input = Object.assign(document.createElement('input'), {type: 'file'})";
    let params = json!({"expression": make});
    let made = client.call(Some(page), "Runtime.evaluate", params).await;
    let object = &made["result"]["result"]["objectId"];
    let params = json!({"files": [path], "objectId": object});
    let answer = client
        .call(Some(page), "DOM.setFileInputFiles", params)
        .await;
    if let Some(error) = answer["error"]["message"].as_str() {
        return Err(error.to_owned());
    }
    let read = client.evaluate(page, "input.files[0].text()").await;
    Ok(read.as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_can_be_uploaded_and_nothing_else_can() {
    let broker = Broker::start().await;
    let lease = lease(&broker).await;
    let files = Files::of(&lease);
    let (code, body) = files.ask(Method::PUT, "/a%20b.txt", b"mine".to_vec()).await;
    assert_eq!(code, 201);
    let brought: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&brought["name"], &brought["size"]),
        (&"a b.txt".into(), &4.into())
    );
    let path = brought["path"].as_str().unwrap();

    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let url = json!({"url": broker.site.url("/")});
    client.call(Some(&page), "Page.navigate", url).await;
    assert_eq!(given(&mut client, &page, path).await.as_deref(), Ok("mine"));

    // A link in the directory, by whatever way it came there, is no way out of it.
    let dir = Path::new(path).parent().unwrap();
    std::os::unix::fs::symlink("/etc/hostname", dir.join("link")).unwrap();
    std::fs::create_dir(dir.join("folder")).unwrap();
    for name in ["link", "folder", "none"] {
        let refused = given(&mut client, &page, dir.join(name).to_str().unwrap()).await;
        assert!(refused.unwrap_err().ends_with("(path)"), "{name}");
        assert_eq!(files.get(&format!("/{name}")).await.0, 404, "{name}");
    }
    assert_eq!(files.list().await["files"].as_array().unwrap().len(), 1);

    // It may be replaced, and removed.
    let (code, _) = files
        .ask(Method::PUT, "/a%20b.txt", b"other".to_vec())
        .await;
    assert_eq!(code, 201);
    assert_eq!(files.get("/a%20b.txt").await, (200, b"other".to_vec()));
    let gone = files.ask(Method::DELETE, "/a%20b.txt", Vec::new()).await;
    assert_eq!(gone, (204, Vec::new()));
    assert_eq!(files.get("/a%20b.txt").await.0, 404);
    let gone = files.ask(Method::DELETE, "/a%20b.txt", Vec::new()).await;
    assert_eq!(gone.0, 404);
    broker.release(&lease).await;
    drop(files);
    drop(client);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_names_and_other_tokens_open_nothing() {
    let broker = Broker::start().await;
    let (mine, other) = (lease(&broker).await, lease(&broker).await);
    let files = Files::of(&mine);
    let (code, _) = files.ask(Method::PUT, "/secret", b"mine".to_vec()).await;
    assert_eq!(code, 201);
    for name in [
        "..%2fprofile",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        ".hidden",
        "a%00",
        "a%0ab",
        "%ff",
        &"x".repeat(256),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let (code, body) = files
                .ask(method.clone(), &format!("/{name}"), Vec::new())
                .await;
            let body = String::from_utf8(body).unwrap();
            assert_eq!(code, 400, "{method} {name}: {body}");
        }
    }
    for (method, path, wanted) in [
        (Method::GET, "/a/b", 404),
        (Method::POST, "/secret", 405),
        (Method::PATCH, "/secret", 405),
        (Method::PUT, "", 405),
        (Method::DELETE, "", 405),
    ] {
        let (code, _) = files.ask(method.clone(), path, Vec::new()).await;
        assert_eq!(code, wanted, "{method} {path}");
    }
    let theirs = Files::of(&other);
    assert_eq!(theirs.list().await["files"], json!([]));
    assert_eq!(theirs.get("/secret").await.0, 404);
    let (token, secret) = (
        mine.cdp_http_url.rsplit_once('.').unwrap(),
        other.cdp_http_url.rsplit_once('.').unwrap(),
    );
    let mixed = format!("{}.{}/files/secret", token.0, secret.1);
    assert_eq!(
        files
            .http
            .get(mixed)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        404
    );
    for (header, value) in [("origin", "http://evil.example"), ("host", "evil.example")] {
        for path in ["", "/secret"] {
            let request = files.http.get(format!("{}{path}", files.base));
            let answer = request.header(header, value).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 403, "{header} {path}");
        }
    }
    assert_eq!(files.get("/secret").await, (200, b"mine".to_vec()));
    broker.release(&mine).await;
    broker.release(&other).await;
    drop((files, theirs));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_brought_is_bounded() {
    let broker = Broker::with(|config| config.lease_download_quota = 1000).await;
    let lease = lease(&broker).await;
    let files = Files::of(&lease);
    let put = async |name: &str, size: usize| files.ask(Method::PUT, name, vec![7; size]).await.0;
    assert_eq!(put("/a", 600).await, 201);
    assert_eq!(put("/b", 401).await, 413);
    assert_eq!(put("/b", 400).await, 201);
    let list = files.list().await;
    assert_eq!(
        (&list["bytes"], &list["max_bytes"]),
        (&1000.into(), &1000.into())
    );
    // Without a length that could be looked at before.
    let body = reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>("x")]));
    let request = files.http.put(format!("{}/c", files.base)).body(body);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 413);
    let names: Vec<_> = files.list().await["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert!(broker.get(&lease.id).await.end_time.is_none(), "it lives");
    broker.release(&lease).await;
    drop(files);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_downloads_too_much_ends_and_takes_its_files_along() {
    let broker = Broker::cold(|config| {
        config.lease_download_quota = 150;
        config.min_warm = 0;
    })
    .await;
    let lease = lease(&broker).await;
    let mut client = Cdp::connect(&lease.cdp_url).await;
    let page = client.page().await;
    let url = json!({"url": broker.site.url("/site/data.bin")});
    client.send(Some(&page), "Page.navigate", url).await;
    assert_eq!(client.closed().await, Some((4010, "policy".to_owned())));
    let ended = broker.get(&lease.id).await;
    assert_eq!(ended.end_reason(), EndReason::Policy);
    let files = Files::of(&lease);
    for path in ["", "/data.bin"] {
        assert_eq!(files.get(path).await.0, 410, "{path}");
    }
    until("its files are gone", async || {
        directories(&broker).is_empty()
    })
    .await;
    drop(files);
    drop(client);
    broker.stop().await;
}
