(html, text, title, limit) => {
  const all = document.documentElement;
  const read = {};
  if (html) {
    const type = document.doctype;
    const start = type ? new XMLSerializer().serializeToString(type) : "";
    read.html = start + (all ? all.outerHTML : "");
    if (read.html.length > limit) return { large: true };
  }
  if (text) {
    const body = document.body || all;
    read.text = String((body && (body.innerText ?? body.textContent)) || "");
    if (read.text.length > limit) return { large: true };
  }
  if (title) read.title = String(document.title);
  return read;
}
