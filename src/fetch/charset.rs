//! From a body's bytes to text, as browsers do it.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// So far into a document its own declaration is looked for, in bytes.
const PRESCAN: usize = 1024;

/// The text of `body` and the name of the encoding it was read from: by its byte order mark, by
/// `content_type`, by what the document itself declares, else UTF-8 where valid, else
/// windows-1252. Never fails: what cannot be decoded becomes U+FFFD.
pub(super) fn decode(body: &[u8], content_type: Option<&str>) -> (String, &'static str) {
    let bom = Encoding::for_bom(body).map(|(encoding, _)| encoding);
    let encoding = bom
        .or_else(|| content_type.and_then(declared))
        .or_else(|| in_document(body))
        .unwrap_or_else(|| match std::str::from_utf8(body) {
            Ok(_) => UTF_8,
            Err(_) => WINDOWS_1252,
        });
    let (text, _) = encoding.decode_with_bom_removal(body);
    (text.into_owned(), encoding.name())
}

/// The `charset` parameter of a content type.
fn declared(content_type: &str) -> Option<&'static Encoding> {
    let mut parameters = content_type.split(';').skip(1);
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let label = value.trim().trim_matches(['"', '\'']);
        let charset = name.trim().eq_ignore_ascii_case("charset");
        charset.then(|| Encoding::for_label(label.as_bytes()))?
    })
}

/// What a `<meta>` of the document declares: `charset=` in any of its attributes.
fn in_document(body: &[u8]) -> Option<&'static Encoding> {
    let start = body.get(..PRESCAN).unwrap_or(body);
    let start = String::from_utf8_lossy(start).to_ascii_lowercase();
    let mut tags = without_comments(&start);
    let declared = loop {
        let (_, rest) = tags.split_once("<meta")?;
        let (tag, after) = rest.split_once('>').unwrap_or((rest, ""));
        if let Some(label) = label(tag) {
            break Encoding::for_label(label.as_bytes())?;
        }
        tags = after.to_owned();
    };
    // ASCII bytes that name UTF-16 cannot be UTF-16.
    let wide = matches!(declared.name(), "UTF-16LE" | "UTF-16BE");
    Some(if wide { UTF_8 } else { declared })
}

fn label(tag: &str) -> Option<&str> {
    let (_, rest) = tag.split_once("charset")?;
    let value = rest.trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value.find(['"', '\'', ';', ' ', '/', '\n', '\t', '\r']);
    value.get(..end.unwrap_or(value.len()))
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("<!--") {
        kept.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_declaration_wins() {
        let bom = b"\xef\xbb\xbfgr\xc3\xbcn";
        let latin = Some("text/html; charset=latin1");
        assert_eq!(decode(bom, latin), ("grün".into(), "UTF-8"));
        assert_eq!(decode(b"gr\xfcn", latin).1, "windows-1252");
        let quoted = Some("text/html; Charset=\"Shift_JIS\"");
        assert_eq!(
            decode(b"\x93\xfa\x96\x7b", quoted),
            ("日本".into(), "Shift_JIS")
        );
    }

    #[test]
    fn the_document_is_believed_when_the_header_is_silent() {
        let meta = b"<!-- <meta charset=koi8-r> --><META name=x><meta charset='windows-1251'>\xcc";
        let (text, charset) = decode(meta, Some("text/html"));
        assert_eq!(charset, "windows-1251");
        assert!(text.ends_with('М'));
        let old = b"<meta http-equiv=content-type content=\"text/html; charset=euc-jp\">";
        assert_eq!(decode(old, None).1, "EUC-JP");
        assert_eq!(decode(b"<meta charset=utf-16>", None).1, "UTF-8");
        let mut late = vec![b' '; PRESCAN];
        late.extend_from_slice(b"<meta charset=koi8-r>");
        assert_eq!(decode(&late, None).1, "UTF-8");
    }

    #[test]
    fn without_any_declaration_it_is_utf_8_or_windows_1252() {
        assert_eq!(decode("grün".as_bytes(), None), ("grün".into(), "UTF-8"));
        assert_eq!(decode(b"gr\xfcn", None), ("grün".into(), "windows-1252"));
    }
}
