//! What is whose, and what takes the admin role.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_its_owners_own() {
    let house = House::with(|_| {}).await;
    let [a, b, ops] = house.callers().await;
    let lease = a.lease().await.unwrap();
    assert_eq!(lease.owner, "a");
    not_owner(b.get(&lease).await);
    not_owner(b.release(&lease).await);
    let lease_id = lease.id.clone();
    let renew = b.says(RenewRequest {
        lease_id,
        ..RenewRequest::default()
    });
    not_owner(b.leases().renew(renew).await);
    assert_eq!(a.get(&lease).await.unwrap().end_time, None, "it lives on");
    assert_eq!(b.list(true).await, [] as [String; 0]);
    assert_eq!(a.list(false).await, [lease.id.as_str()]);
    assert_eq!(ops.list(false).await, [lease.id.as_str()]);
    assert_eq!(ops.get(&lease).await.unwrap().owner, "a");
    let unknown = Lease {
        id: "lease-0198c0de000070008000000000000000".into(),
        ..Lease::default()
    };
    assert_eq!(
        reason(&b.get(&unknown).await.unwrap_err()),
        "LEASE_NOT_FOUND"
    );
    let lease_id = lease.id.clone();
    let mut admin = AdminServiceClient::new(ops.channel.clone());
    let end = ops.says(EndLeaseRequest { lease_id });
    admin.end_lease(end).await.unwrap();
    not_owner(b.get(&lease).await);
    assert_eq!(b.list(true).await, [] as [String; 0]);
    assert_eq!(a.list(true).await, [lease.id.as_str()]);
    house.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_do_takes_the_admin_role() {
    let house = House::with(|_| {}).await;
    let [a, _, ops] = house.callers().await;
    let lease = a.lease().await.unwrap();
    let lease_id = lease.id.clone();
    let mut admin = AdminServiceClient::new(a.channel.clone());
    let browser_id = "browser-1".to_owned();
    let refused = [
        admin.get_status(a.says(GetStatusRequest {})).await.err(),
        admin
            .watch_status(a.says(WatchStatusRequest::default()))
            .await
            .err(),
        admin
            .drain(a.says(DrainRequest { shutdown: true }))
            .await
            .err(),
        admin.resume(a.says(ResumeRequest {})).await.err(),
        admin
            .retire_browser(a.says(RetireBrowserRequest { browser_id }))
            .await
            .err(),
        // Its own, too: it is released, not revoked.
        admin
            .end_lease(a.says(EndLeaseRequest { lease_id }))
            .await
            .err(),
        admin
            .set_log_level(a.says(SetLogLevelRequest::default()))
            .await
            .err(),
    ];
    for status in refused {
        let status = status.unwrap();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(reason(&status), "ROLE_REQUIRED");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["role"], "admin");
    }
    let status = admin.get_status(ops.says(GetStatusRequest {})).await;
    let status = status.unwrap().into_inner().status.unwrap();
    assert!(!status.draining);
    assert_eq!(status.leases.len(), 1);
    a.release(&lease).await.unwrap();
    house.broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_owner_fetched_serves_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start().await;
    origin.permits.add_permits(100);
    for (strategy, kept) in [
        (FetchStrategy::Http, false),
        (FetchStrategy::Browser, false),
        // What was kept the first time is on disk only.
        (FetchStrategy::Http, true),
    ] {
        let house = House::with(|config| config.cache_dir = Some(dir.path().join("cache"))).await;
        let [a, b, ops] = house.callers().await;
        let visit = || FetchRequest {
            cache: Some(CacheControl {
                max_age: secs(300),
                ..CacheControl::default()
            }),
            ..page(origin.visit("x"), strategy)
        };
        if kept {
            assert_eq!(a.fetch(visit()).await.unwrap(), CacheState::Hit);
            assert_eq!(ops.fetch(visit()).await.unwrap(), CacheState::Miss);
        } else {
            for who in [&a, &b] {
                assert_eq!(who.fetch(visit()).await.unwrap(), CacheState::Miss);
                assert_eq!(who.fetch(visit()).await.unwrap(), CacheState::Hit);
            }
        }
        house.broker.stop().await;
    }
    origin.stop().await;
}
