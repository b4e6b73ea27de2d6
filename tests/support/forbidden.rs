//! Spellings of what may not be reached, with what becomes of each: tried by every way out.
//!
//! `{p}` stands for a port that a listener has on every address of this machine. The names below
//! `test` are those of [`NAMES`].

/// What becomes of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The policy forbids it, by this rule.
    Denied(&'static str),
    /// It is no target at all.
    Invalid,
    /// As a reference of a document it leads to that document's own origin.
    Stays,
}

use Fate::{Denied, Invalid, Stays};

/// One spelling.
#[derive(Clone, Debug)]
pub struct Forbidden {
    pub url: String,
    /// What becomes of it when a caller asks for it.
    pub asked: Fate,
    /// What becomes of it as the `Location` of a redirect; `None` where a header cannot carry it.
    pub led: Option<Fate>,
}

/// The names of the table, for the DNS server of the test.
pub const NAMES: &[(&str, &[&[&str]])] = &[
    ("inside.test", &[&["127.0.0.1"]]),
    ("private.test", &[&["10.0.0.1"]]),
    ("meta.test", &[&["169.254.169.254"]]),
    ("six.test", &[&["::1"]]),
    ("mapped.test", &[&["::ffff:127.0.0.1"]]),
    ("zero.test", &[&["0.0.0.0"]]),
    ("both.test", &[&["127.0.0.1", "127.0.0.2"]]),
    ("a.b.inside.test", &[&["127.0.0.1"]]),
    ("xn--bcher-kva.test", &[&["127.0.0.1"]]),
];

/// Hosts, by the rule that forbids them.
const HOSTS: &[(&str, &[&str])] = &[
    (
        "loopback",
        &[
            // Decimal, octal, hexadecimal, short, mixed, with zeros in front.
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "127.0.0.2",
            "127.255.255.254",
            "127.000.000.001",
            "127.0.00.1",
            "127.65535",
            "127.16777215",
            "0177.0.0.1",
            "0177.0.0.01",
            "0177.1",
            "00177.0.0.1",
            "017700000001",
            "0x7f.0.0.1",
            "0x7F.0x0.0x0.0x1",
            "0x7f.1",
            "0x7f.0.1",
            "0x7f000001",
            "0X7F000001",
            "0x7fffffff",
            "2130706433",
            "2147483647",
            "0177.0.0x0.1",
            "127.0x0.1",
            "127.0.0.0x1",
            "127.0.0.0x01",
            "0x7f.0.0.01",
            // Names of this machine (RFC 6761).
            "localhost",
            "LOCALHOST",
            "LocalHost",
            "localhost.",
            "a.localhost",
            "x.y.localhost",
            "foo.LOCALHOST.",
            "%6cocalhost",
            "loc%61lhost",
            "ｌｏｃａｌｈｏｓｔ",
            "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
            "local\u{ad}host",
            "localho\u{17f}t",
            "\u{2113}ocalhost",
            "𝐥𝐨𝐜𝐚𝐥𝐡𝐨𝐬𝐭",
            "localhost。",
            // What IDNA makes digits and dots of (UTS 46).
            "１２７.０.０.１",
            "127。0。0。1",
            "127．0．0．1",
            "127｡0｡0｡1",
            "①②⑦.⓪.⓪.①",
            "①②⑦.0.0.1",
            "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
            "𝟙𝟚𝟟.0.0.1",
            "¹²⁷.⁰.⁰.¹",
            "₁₂₇.₀.₀.₁",
            "127\u{ad}.0.0.1",
            "127.0.0\u{200b}.1",
            "127.0.0.1\u{2060}",
            "1\u{fe0f}27.0.0.1",
            "0ｘ7ｆ.1",
            "０x7f000001",
            // Percent-encoded.
            "%31%32%37.0.0.1",
            "127%2e0%2e0%2e1",
            "127.0.0.%31",
            "%30x7f.1",
            "%e2%91%a0%e2%91%a1%e2%91%a6.0.0.1",
            // IPv6: all forms, mapped, compatible, NAT64, 6to4.
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[0000:0000:0000:0000:0000:0000:0000:0001]",
            "[::0001]",
            "[0::1]",
            "[::0:1]",
            "[::0.0.0.1]",
            "[::ffff:127.0.0.1]",
            "[::FFFF:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:7f00:0001]",
            "[::127.0.0.1]",
            "[::7f00:1]",
            "[64:ff9b::127.0.0.1]",
            "[0064:ff9b::7f00:0001]",
            "[2002:7f00:1::]",
            "[2002:7f00:0001::1]",
            // Names that lead here.
            "inside.test",
            "INSIDE.test.",
            "a.b.inside.test",
            "six.test",
            "mapped.test",
            "both.test",
            "bücher.test",
            "ｉｎｓｉｄｅ.test",
        ],
    ),
    (
        "unspecified",
        &[
            "0.0.0.0",
            "0",
            "00",
            "0x0",
            "0x",
            "0.0",
            "0.1.2.3",
            "0000.0.0.0",
            "０.0.0.0",
            "[::]",
            "[0::0]",
            "[::ffff:0.0.0.0]",
            "[::ffff:0:0]",
            "[64:ff9b::]",
            "zero.test",
        ],
    ),
    (
        "private",
        &[
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.168.1",
            "0xa.1",
            "012.0.0.1",
            "167772161",
            "3232235521",
            "0xc0a80001",
            "①⓪.0.0.1",
            "[::ffff:10.0.0.1]",
            "[fd00::1]",
            "[fc00::1]",
            "[fec0::1]",
            "[64:ff9b::10.0.0.1]",
            "[2002:a00:1::]",
            "[2002:c0a8:1::]",
            "private.test",
        ],
    ),
    (
        "link_local",
        &[
            "169.254.1.1",
            "0xa9fe0101",
            "[fe80::1]",
            "[febf::1]",
            "[::ffff:169.254.1.1]",
        ],
    ),
    (
        "cgnat",
        &[
            "100.64.0.1",
            "100.127.255.254",
            "0x64400001",
            "[::ffff:100.64.0.1]",
        ],
    ),
    ("multicast", &["224.0.0.1", "239.255.255.255", "[ff02::1]"]),
    (
        "reserved",
        &[
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "240.0.0.1",
            "255.255.255.255",
            "4294967295",
            "0xffffffff",
            "[2001:db8::1]",
            "[100::1]",
            "[2001::1]",
            "[::8.8.8.8]",
            "[2002:808:808::]",
            "[3fff::1]",
            "[5f00::1]",
        ],
    ),
    (
        "metadata",
        &[
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0xA9.0xFE.0xA9.0xFE",
            "0251.0376.0251.0376",
            "169.254.43518",
            "169.16689662",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[::169.254.169.254]",
            "[fd00:ec2::254]",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "metadata.google.internal",
            "METADATA.google.internal.",
            "metadata",
            "instance-data",
            "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
            "169。254。169。254",
            "%31%36%39.254.169.254",
            "meta.test",
        ],
    ),
];

/// Whole URLs to loopback, in odd forms.
const SHAPES: &[&str] = &[
    "http://example.org@127.0.0.1:{p}/",
    "http://example.org:80@127.0.0.1:{p}/",
    "http://example.org%2f@127.0.0.1:{p}/",
    "http://me:secret@127.0.0.1:{p}/",
    "http://@127.0.0.1:{p}/",
    "http://:@127.0.0.1:{p}/",
    "http://a@b@127.0.0.1:{p}/",
    "http://127.0.0.1:{p}#@example.org/",
    "http://127.0.0.1:{p}?@example.org/",
    "http://127.0.0.1:{p}\\@example.org/",
    "http://127.0.0.1\\@example.org:80/",
    "http:\\\\127.0.0.1:{p}\\",
    "http:///127.0.0.1:{p}/",
    "http:////127.0.0.1:{p}/",
    "http:\\/127.0.0.1:{p}/",
    "HTTP://127.0.0.1:{p}/",
    "hTtPs://127.0.0.1:{p}/",
    " http://127.0.0.1:{p}/ ",
    "\thttp://127.0.0.1:{p}/",
    "ht\ttp://127.0.0.1:{p}/",
    "http://127.0.\t0.1:{p}/",
    "http://127.0.0.1\n:{p}/",
    "ht\ntp://127.0.0.1:{p}/",
    "http://127.0.0.1:0{p}/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:00080/",
    "http://127.0.0.1",
    "https://127.0.0.1",
    "http://127.0.0.1:{p}/../../x",
];

/// What is no target, asked for or led to.
const INVALID: &[&str] = &[
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "file://localhost/etc/passwd",
    "ftp://127.0.0.1:{p}/",
    "gopher://127.0.0.1:{p}/_x",
    "dict://127.0.0.1:{p}/d",
    "ldap://127.0.0.1:{p}/",
    "ws://127.0.0.1:{p}/",
    "wss://127.0.0.1:{p}/",
    "data:text/html,x",
    "javascript:alert(1)",
    "about:blank",
    "blob:http://127.0.0.1:{p}/x",
    "view-source:http://127.0.0.1:{p}/",
    "chrome://version",
    "jar:http://127.0.0.1:{p}/x!/",
    "unix:/run/x",
    "localhost:{p}/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:0x50/",
    "http://[::1/",
    "http://::1/",
    "http://[127.0.0.1]/",
    "http://[::1%25lo]:{p}/",
    "http://[fe80::1%25eth0]:{p}/",
    "http://[fe80::1%eth0]:{p}/",
    "http://256.0.0.1/",
    "http://127.0.0.0x100/",
    "http://127.0.0.1.1.1/",
    "http://127.0.0.08/",
    "http://127..0.1/",
    "http://4294967296/",
    "http://0x100000000/",
    "http://127.0.0.1%00.example.org/",
    "http://127.0.0.1%2f.example.org/",
    "http://127.0.0.1%20/",
    "http://example.org\u{ff20}127.0.0.1:{p}/",
    "http://%zz/",
    "http://exa mple/",
];

/// What a caller may not ask for, and what it becomes as a reference.
const REFERENCES: &[(&str, Fate, Fate)] = &[
    ("//127.0.0.1:{p}/", Invalid, Denied("loopback")),
    ("/\\127.0.0.1:{p}/", Invalid, Denied("loopback")),
    ("\\\\127.0.0.1:{p}/", Invalid, Denied("loopback")),
    ("//inside.test:{p}/", Invalid, Denied("loopback")),
    ("//0x7f.1:{p}", Invalid, Denied("loopback")),
    ("127.0.0.1:{p}/", Invalid, Stays),
    ("http:/127.0.0.1:{p}/", Denied("loopback"), Stays),
    ("http:127.0.0.1:{p}/", Denied("loopback"), Stays),
];

/// The whole table, with `port` in it.
pub fn forbidden(port: u16) -> Vec<Forbidden> {
    let hosts = HOSTS.iter().flat_map(|(rule, hosts)| {
        let urls = hosts.iter().map(|host| format!("http://{host}:{{p}}/"));
        urls.map(|url| (url, Denied(rule), Denied(rule)))
    });
    let shapes = SHAPES.iter().map(|url| ((*url).to_owned(), "loopback"));
    let shapes = shapes.map(|(url, rule)| (url, Denied(rule), Denied(rule)));
    let invalid = INVALID
        .iter()
        .map(|url| ((*url).to_owned(), Invalid, Invalid));
    let references = REFERENCES.iter();
    let references = references.map(|(url, asked, led)| ((*url).to_owned(), *asked, *led));
    let all = hosts.chain(shapes).chain(invalid).chain(references);
    all.map(|(url, asked, led)| Forbidden {
        led: (!url.contains('\n')).then_some(led),
        url: url.replace("{p}", &port.to_string()),
        asked,
    })
    .collect()
}
