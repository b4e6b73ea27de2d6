use super::*;

fn policy(allow: &[&str], deny: &[&str], fallback: Fallback, report_only: bool) -> Policy {
    let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let settings = Settings {
        allow: rules(allow),
        deny: rules(deny),
        fallback,
        report_only,
    };
    Policy::new(settings, OwnPorts::default(), &Metrics::new().unwrap())
}

fn target(host: &str, port: u16) -> Target {
    let host = Host::parse(host).unwrap();
    Target::new(
        match &host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        },
        port,
    )
}

fn rule(result: Result<(), Denied>) -> Option<EgressRule> {
    result.err().map(|denied| denied.rule)
}

#[test]
fn the_inside_is_closed_and_the_internet_open() {
    let policy = policy(&[], &[], Fallback::Public, false);
    for (host, expected) in [
        ("1.1.1.1", None),
        ("[2606:4700::1111]", None),
        ("example.org", None),
        ("127.0.0.1", Some(EgressRule::Loopback)),
        ("2130706433", Some(EgressRule::Loopback)),
        ("0x7f.1", Some(EgressRule::Loopback)),
        ("[::ffff:127.0.0.1]", Some(EgressRule::Loopback)),
        ("10.0.0.1", Some(EgressRule::Private)),
        ("169.254.169.254", Some(EgressRule::Metadata)),
        ("metadata.google.internal.", Some(EgressRule::Metadata)),
    ] {
        assert_eq!(rule(policy.check(&target(host, 80))), expected, "{host}");
    }
    let named = target("example.org", 80);
    let to = |address: &str| rule(policy.check_address(&named, address.parse().unwrap()));
    assert_eq!(to("1.1.1.1"), None);
    assert_eq!(to("10.0.0.1"), Some(EgressRule::Private));
}

#[test]
fn names_that_an_upstream_looks_up_are_judged_by_themselves() {
    let shut = policy(&[], &[], Fallback::Public, false);
    let elsewhere = |policy: &Policy, host| rule(policy.check_elsewhere(&target(host, 80)));
    assert_eq!(elsewhere(&shut, "example.org"), None);
    assert_eq!(elsewhere(&shut, "localhost"), Some(EgressRule::Loopback));
    assert_eq!(elsewhere(&shut, "db.internal"), Some(EgressRule::Private));
    assert_eq!(elsewhere(&shut, "10.0.0.1"), Some(EgressRule::Private));
    let open = policy(&["*.internal"], &[], Fallback::Public, false);
    assert_eq!(elsewhere(&open, "db.internal"), None);
    // There will be no address to compare with.
    let only = policy(&["93.184.216.0/24"], &[], Fallback::Nothing, false);
    assert_eq!(elsewhere(&only, "example.org"), Some(EgressRule::Unlisted));
}

#[test]
fn lists_open_and_close_and_closing_wins() {
    let policy = policy(
        &["10.0.0.0/8:443", "intranet.example", "169.254.0.0/16", "*"],
        &["10.9.0.0/16", "bad.example", "*:25"],
        Fallback::Public,
        false,
    );
    let check = |host, port| rule(policy.check(&target(host, port)));
    assert_eq!(check("10.1.1.1", 443), None);
    assert_eq!(check("10.9.1.1", 443), Some(EgressRule::DenyList));
    assert_eq!(check("1.1.1.1", 25), Some(EgressRule::DenyList));
    assert_eq!(check("bad.example", 443), Some(EgressRule::DenyList));
    assert_eq!(check("169.254.1.1", 80), None);
    assert_eq!(check("169.254.169.254", 80), Some(EgressRule::Metadata));
}

#[test]
fn an_allowed_name_may_lead_inside() {
    let policy = policy(&["intranet.example"], &[], Fallback::Public, false);
    let inside: IpAddr = "10.0.0.1".parse().unwrap();
    let check = |host| rule(policy.check_address(&target(host, 80), inside));
    assert_eq!(check("intranet.example"), None);
    assert_eq!(check("other.example"), Some(EgressRule::Private));
    let metadata = "169.254.169.254".parse().unwrap();
    let denied = policy.check_address(&target("intranet.example", 80), metadata);
    assert_eq!(rule(denied), Some(EgressRule::Metadata));
}

#[test]
fn with_nothing_as_fallback_only_what_is_listed_is_open() {
    let policy = policy(
        &["*.example.org", "1.1.1.0/24"],
        &[],
        Fallback::Nothing,
        false,
    );
    let named = target("other.example", 80);
    // Its address may still be on the list.
    assert_eq!(rule(policy.check(&named)), None);
    let to = |address: &str| rule(policy.check_address(&named, address.parse().unwrap()));
    assert_eq!(to("1.1.1.1"), None);
    assert_eq!(to("8.8.8.8"), Some(EgressRule::Unlisted));
    let below = target("a.example.org", 80);
    let public = policy.check_address(&below, "8.8.8.8".parse().unwrap());
    assert_eq!(rule(public), None);
}

#[test]
fn a_narrowed_policy_opens_nothing() {
    let wide = policy(&["10.0.0.0/8"], &[], Fallback::Public, false);
    let narrow = wide.narrowed(vec![
        "10.1.0.0/16".parse().unwrap(),
        "127.0.0.1".parse().unwrap(),
    ]);
    let check = |policy: &Policy, host| rule(policy.check(&target(host, 80)));
    assert_eq!(check(&wide, "10.2.0.1"), None);
    assert_eq!(check(&narrow, "10.2.0.1"), Some(EgressRule::Lease));
    assert_eq!(check(&narrow, "10.1.0.1"), None);
    assert_eq!(check(&narrow, "1.1.1.1"), Some(EgressRule::Lease));
    assert_eq!(check(&narrow, "127.0.0.1"), Some(EgressRule::Loopback));
    let twice = narrow.narrowed(vec!["10.1.1.0/24".parse().unwrap()]);
    assert_eq!(check(&twice, "10.1.2.1"), Some(EgressRule::Lease));
    assert_eq!(check(&twice, "10.1.1.1"), None);
}

#[test]
fn own_ports_and_metadata_are_closed_whatever_is_allowed() {
    let settings = Settings {
        allow: vec!["*".parse().unwrap()],
        report_only: true,
        ..Settings::default()
    };
    let own = OwnPorts::default();
    let policy = Policy::new(settings, own.clone(), &Metrics::new().unwrap());
    let check = |host, port| rule(policy.check(&target(host, port)));
    let port = own.add(50051);
    assert_eq!(check("127.0.0.1", 50051), Some(EgressRule::OwnPort));
    assert_eq!(check("[::1]", 50051), Some(EgressRule::OwnPort));
    assert_eq!(check("127.0.0.1", 50052), None);
    assert_eq!(check("169.254.169.254", 80), Some(EgressRule::Metadata));
    drop(port);
    assert_eq!(check("127.0.0.1", 50051), None);
}

#[test]
fn report_only_counts_and_lets_through() {
    let metrics = Metrics::new().unwrap();
    let settings = Settings {
        report_only: true,
        ..Settings::default()
    };
    let policy = Policy::new(settings, OwnPorts::default(), &metrics);
    assert_eq!(rule(policy.check(&target("10.0.0.1", 80))), None);
    let series = "berth_egress_denied_total{mode=\"report\",rule=\"private\"} 1";
    let text = metrics.encode().unwrap();
    assert!(text.contains(series), "{text}");
}

#[test]
fn a_denial_says_what_was_asked_and_why() {
    let policy = policy(&[], &[], Fallback::Public, false);
    let named = target("db.example", 5432);
    let denied = policy
        .check_address(&named, "10.0.0.7".parse().unwrap())
        .unwrap_err();
    let said = denied.to_string();
    assert!(
        said.starts_with("db.example:5432 is not reachable"),
        "{said}"
    );
    assert!(
        !said.contains("10.0.0.7"),
        "the inside's address is not told"
    );
}

#[test]
fn every_spelling_of_a_name_is_one_target() {
    for spelling in [
        "localhost",
        "LOCALHOST.",
        "localhost。",
        "localhost．。",
        "ｌocalhost",
    ] {
        let target = Target::new(Host::Domain(spelling), 80);
        assert_eq!(
            target.host(),
            &Host::<String>::Domain("localhost".into()),
            "{spelling}"
        );
    }
    for spelling in ["127.0.0.1", "127.1.", "0x7f.1。。", "①②⑦.0.0.1"] {
        let target = Target::new(Host::Domain(spelling), 80);
        assert_eq!(
            target.host(),
            &Host::<String>::Ipv4([127, 0, 0, 1].into()),
            "{spelling}"
        );
    }
}
