//! From a body's bytes to text, as browsers do it.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// So far into a document its own declaration is looked for, in bytes.
const PRESCAN: usize = 1024;

/// So much of a body is enough to guess from, in bytes.
const GUESSED: usize = 1 << 20;

/// The text of `body` and the name of the encoding it was read from: by its byte order mark, by
/// `content_type`, by what the document itself declares, else UTF-8 where valid, else what it looks
/// like; `host` is where it came from, whose top-level domain hints at a language. Never fails:
/// what cannot be decoded becomes U+FFFD.
pub(super) fn decode(
    body: &[u8],
    content_type: Option<&str>,
    host: Option<&str>,
) -> (String, &'static str) {
    let bom = Encoding::for_bom(body).map(|(encoding, _)| encoding);
    let encoding = bom
        .or_else(|| content_type.and_then(declared))
        .or_else(|| in_xml(body))
        .or_else(|| in_document(body))
        .or_else(|| always(content_type))
        .unwrap_or_else(|| guess(body, host));
    let (text, _) = encoding.decode_with_bom_removal(body);
    (text.into_owned(), encoding.name())
}

/// What a media type is in when nobody says so: JSON is UTF-8 (RFC 8259 §8.1).
fn always(content_type: Option<&str>) -> Option<&'static Encoding> {
    let essence = content_type?.split(';').next()?.trim();
    essence
        .to_ascii_lowercase()
        .ends_with("json")
        .then_some(UTF_8)
}

/// What bytes look like that nobody says anything about.
fn guess(body: &[u8], host: Option<&str>) -> &'static Encoding {
    if std::str::from_utf8(body).is_ok() && !body.contains(&0x1b) {
        return UTF_8;
    }
    // Long ASCII says nothing: what is looked at begins where something else does.
    let first = body
        .iter()
        .position(|byte| !byte.is_ascii() || *byte == 0x1b);
    let telling = body.get(first.unwrap_or_default()..).unwrap_or_default();
    let (start, whole) = match telling.get(..GUESSED) {
        Some(start) => (start, false),
        None => (telling, true),
    };
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(start, whole);
    let host = host.filter(|host| host.parse::<std::net::Ipv4Addr>().is_err());
    let tld = host
        .and_then(|host| host.rsplit_once('.'))
        .map(|(_, tld)| tld);
    // A name of the root ends in a dot, an address in a bracket; neither has such a domain.
    let plain = |tld: &&str| !tld.is_empty() && tld.bytes().all(is_label);
    let tld = tld.filter(plain).map(str::as_bytes);
    detector.guess(tld, Utf8Detection::Allow)
}

/// What top-level domains are made of, as URLs have them.
const fn is_label(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// What an XML declaration says, or is written in.
fn in_xml(body: &[u8]) -> Option<&'static Encoding> {
    if body.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if body.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    let start = body.get(..PRESCAN).unwrap_or(body);
    let declaration = start.strip_prefix(b"<?xml")?;
    let end = declaration.iter().position(|byte| *byte == b'>')?;
    let declaration = String::from_utf8_lossy(declaration.get(..end)?);
    let (_, rest) = declaration.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest
        .chars()
        .next()
        .filter(|char| matches!(char, '"' | '\''))?;
    let label = rest.get(1..)?.split(quote).next()?;
    Some(as_ascii(Encoding::for_label(label.as_bytes())?))
}

/// What bytes are in that declare `encoding` in ASCII: they are no UTF-16.
fn as_ascii(encoding: &'static Encoding) -> &'static Encoding {
    match encoding.name() {
        "UTF-16LE" | "UTF-16BE" => UTF_8,
        "x-user-defined" => WINDOWS_1252,
        _ => encoding,
    }
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
    Some(as_ascii(declared))
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
        assert_eq!(decode(bom, latin, None), ("grün".into(), "UTF-8"));
        assert_eq!(decode(b"gr\xfcn", latin, None).1, "windows-1252");
        let quoted = Some("text/html; Charset=\"Shift_JIS\"");
        assert_eq!(
            decode(b"\x93\xfa\x96\x7b", quoted, None),
            ("日本".into(), "Shift_JIS")
        );
    }

    #[test]
    fn the_document_is_believed_when_the_header_is_silent() {
        let meta = b"<!-- <meta charset=koi8-r> --><META name=x><meta charset='windows-1251'>\xcc";
        let (text, charset) = decode(meta, Some("text/html"), None);
        assert_eq!(charset, "windows-1251");
        assert!(text.ends_with('М'));
        let old = b"<meta http-equiv=content-type content=\"text/html; charset=euc-jp\">";
        assert_eq!(decode(old, None, None).1, "EUC-JP");
        assert_eq!(decode(b"<meta charset=utf-16>", None, None).1, "UTF-8");
        let mut late = vec![b' '; PRESCAN];
        late.extend_from_slice(b"<meta charset=koi8-r>");
        assert_eq!(decode(&late, None, None).1, "UTF-8");
    }

    #[test]
    fn without_any_declaration_it_is_utf_8_or_a_guess() {
        let read = |body: &[u8]| decode(body, Some("text/html"), None);
        assert_eq!(read("grün".as_bytes()), ("grün".into(), "UTF-8"));
        assert_eq!(read(b"gr\xfcn"), ("grün".into(), "windows-1252"));
        let texts = [
            (
                "Shift_JIS",
                "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
            ),
            (
                "EUC-JP",
                "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
            ),
            (
                "GBK",
                "道可道，非常道。名可名，非常名。无名天地之始，有名万物之母。",
            ),
            (
                "EUC-KR",
                "나랏말이 중국과 달라 한자와 서로 통하지 아니하여서 이런 까닭으로 백성이",
            ),
            (
                "Big5",
                "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。寒來暑往，秋收冬藏。",
            ),
            (
                "windows-1251",
                "Все счастливые семьи похожи друг на друга, каждая несчастлива.",
            ),
            (
                "windows-1253",
                "Άνδρα μοι έννεπε, Μούσα, πολύτροπον, ος μάλα πολλά πλάγχθη",
            ),
            (
                "windows-1256",
                "كان يا ما كان في قديم الزمان وسالف العصر والأوان ملك عظيم",
            ),
            (
                "windows-1255",
                "בראשית ברא אלהים את השמים ואת הארץ והארץ היתה תהו ובהו",
            ),
            (
                "windows-1254",
                "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Şu iş güç",
            ),
        ];
        for (label, text) in texts {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, _, lossy) = encoding.encode(text);
            assert!(!lossy, "{label}");
            let mut page = b"<!doctype html><title>x</title><p>".to_vec();
            page.extend_from_slice(&bytes);
            let (read, named) = read(&page);
            assert_eq!(named, encoding.name());
            assert!(read.ends_with(text), "{label}: {read}");
        }
    }

    #[test]
    fn utf_16_is_told_by_its_mark_its_header_or_its_xml() {
        let wide = |text: &str, be: bool| -> Vec<u8> {
            let pair = |unit: u16| {
                if be {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            };
            text.encode_utf16().flat_map(pair).collect()
        };
        let marked = wide("\u{feff}grün", true);
        assert_eq!(decode(&marked, None, None), ("grün".into(), "UTF-16BE"));
        let header = Some("text/html; charset=utf-16le");
        let plain = wide("grün", false);
        assert_eq!(decode(&plain, header, None), ("grün".into(), "UTF-16LE"));
        let xml = wide("<?xml version='1.0'?><a>grün</a>", false);
        assert_eq!(decode(&xml, None, None).1, "UTF-16LE");
        let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-15'?>\xa4";
        assert_eq!(decode(latin, None, None).1, "ISO-8859-15");
    }

    #[test]
    fn what_says_nothing_is_no_danger() {
        for host in ["a.RU", "a.", "[::1]", "a.xn--p1ai", "127.0.0.1", "", "."] {
            assert_eq!(decode(b"", None, Some(host)).1, "UTF-8");
            let _ = decode(b"\xcf\xf0\xe8", None, Some(host));
        }
        let json = Some("application/ld+json");
        assert_eq!(decode(b"{\"a\":\"\xe4\"}", json, None).1, "UTF-8");
        let mut long = vec![b'x'; 3 << 20];
        long.extend_from_slice(b"gr\xfcn");
        assert_eq!(decode(&long, None, None).1, "windows-1252");
    }
}
