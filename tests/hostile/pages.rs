//! Pages whose scripts do what no page should.

const FILL: &str = "<p>There is text on this page, and somebody who wants to keep its visitor.</p>";

/// The document at `path`, when it is one of these.
pub fn page(path: &str) -> Option<String> {
    let script =
        |script: &str| format!("<!doctype html><title>trap</title>{FILL}<script>{script}</script>");
    let page = match path {
        "/ok" => FILL.to_owned(),
        "/script-loop" => script("for (;;);"),
        "/promise-loop" => script("(function spin() { Promise.resolve().then(spin) })()"),
        "/timer-flood" => script("for (let i = 0; i < 1e5; i++) setInterval(() => {}, 0)"),
        "/dialogs" => script("for (;;) alert('again')"),
        "/some-dialogs" => {
            script("for (let i = 0; i < 20; i++) { alert(i); confirm(i); prompt(i) }")
        }
        "/prints" => script("for (let i = 0; i < 20; i++) print()"),
        "/windows" => script("for (let i = 0; i < 500; i++) open('/ok?' + i)"),
        "/memory" => script("let all = []; for (;;) all.push(new Array(1e6).fill(Math.random()))"),
        "/worker" => script("navigator.serviceWorker.register('/worker.js')"),
        "/workers" => script(
            "const spin = URL.createObjectURL(new Blob(['for(;;);'])); \
             for (let i = 0; i < 8; i++) new Worker(spin)",
        ),
        "/reload" => script("location.reload()"),
        "/reload-later" => script("addEventListener('load', () => location.reload())"),
        "/elsewhere" => script("location = '/elsewhere?' + Math.random()"),
        "/refresh" => format!("<meta http-equiv=refresh content=0>{FILL}"),
        "/unload" => script(
            "addEventListener('beforeunload', e => { e.preventDefault(); e.returnValue = 'stay' })",
        ),
        "/never-idle" => script("setInterval(() => fetch('/ok?' + Math.random()), 50)"),
        "/sockets" => {
            script("for (let i = 0; i < 300; i++) new WebSocket('ws://' + location.host + '/hang')")
        }
        "/slow-image" => format!("{FILL}<img src=/hang>"),
        "/frames" => format!(
            "{FILL}<script>document.write('<iframe src=\"/frames?' + Math.random() + '\"></iframe>')</script>"
        ),
        "/storage" => script(
            "try { for (let i = 0; ; i++) localStorage.setItem(i, 'x'.repeat(1e5)) } catch (e) {}",
        ),
        "/history" => script(
            "try { for (let i = 0; i < 1e4; i++) history.pushState(i, '', '?' + i) } catch (e) {}",
        ),
        "/large-text" => script("document.body.append('x'.repeat(3e6))"),
        "/large-title" => script("document.title = 'x'.repeat(3e6)"),
        "/growing" => script("setInterval(() => document.body.append('x'.repeat(1e5)), 1)"),
        "/overwritten" => script(
            "for (const name of ['JSON', 'document', 'Promise', 'Node', 'XMLSerializer']) \
             try { Object.defineProperty(window, name, { get() { throw 'mine' } }) } catch (e) {}\n\
             Object.defineProperty(Element.prototype, 'outerHTML', { get() { for (;;); } });\n\
             Object.defineProperty(HTMLElement.prototype, 'innerText', { get() { return {toString() { for(;;); }} } })",
        ),
        "/debugger" => script("for (let i = 0; i < 100; i++) debugger"),
        "/to-file" => script("location = 'file:///etc/passwd'"),
        "/to-download" => script("location = '/download'"),
        "/fullscreen" => script(
            "document.documentElement.requestFullscreen().catch(() => {}); document.documentElement.requestPointerLock()",
        ),
        "/permissions" => script(
            "navigator.geolocation.getCurrentPosition(() => {}); Notification.requestPermission(); navigator.clipboard.readText().catch(() => {})",
        ),
        _ => return None,
    };
    Some(page)
}
