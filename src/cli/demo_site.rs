//! The small site that `berth demo` serves to itself: a written page and a script-rendered one.

use std::net::SocketAddr;

use axum::{Router, response::Html, routing::get};
use tokio::net::TcpListener;

use crate::http_server;

/// More than one browser opens to one host.
const CONNECTIONS: usize = 64;

/// A page whose text is in the document.
pub(super) const ARTICLE: &str = "<!doctype html>
<html lang=en><head><meta charset=utf-8><title>On lending</title></head><body>
<h1>On lending</h1>
<p>Who lends a thing without a day of return has given it away. A library that writes down the day,
and sends for the book when the day has passed, can lend to strangers; one that waits to be told
cannot, for the forgetful do not tell, and the dead do not either.</p>
<p>So it is with browsers. Each is lent until a deadline, and fetched home when it passes.</p>
</body></html>";

/// A page whose text only its script writes.
pub(super) const APP: &str = "<!doctype html>
<html lang=en><head><meta charset=utf-8><title>Shop</title></head><body>
<div id=root></div>
<script>
  const items = ['lantern', 'compass', 'rope'];
  setTimeout(() => {
    document.getElementById('root').innerHTML =
      '<h1>Shop</h1><ul>' + items.map(item => `<li>One ${item}, rendered by a script</li>`).join('') + '</ul>';
  }, 0);
</script>
</body></html>";

/// Binds the site to a free port and returns where it is and what serves it.
pub(super) async fn start(
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/article", get(async || Html(ARTICLE)))
        .route("/app", get(async || Html(APP)));
    Ok((
        address,
        http_server::serve("demo site", CONNECTIONS, listener, router, stop),
    ))
}
