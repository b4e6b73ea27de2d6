//! Control groups in a directory that looks like one, and in the kernel's where it lets us.

use super::*;

const LIMITS: Limits = Limits {
    memory: 256 << 20,
    processes: 100,
    cpu: 1500,
    throttled: true,
};

/// A group that has the controllers.
fn base(controllers: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cgroup.controllers"), controllers).unwrap();
    dir
}

/// A browser's group as the kernel would make it: with its files.
fn made(groups: &Cgroups, name: &str) -> Cgroup {
    let dir = groups.tree.0.join(name);
    fs::create_dir(&dir).unwrap();
    for file in [
        "cgroup.procs",
        "cgroup.kill",
        "memory.max",
        "memory.oom.group",
        "pids.max",
        "cpu.max",
    ] {
        fs::write(dir.join(file), "").unwrap();
    }
    let group = Cgroup {
        dir,
        _tree: Arc::clone(&groups.tree),
    };
    groups.limit(&group).unwrap();
    group
}

/// As the kernel does, whose files never keep a directory.
fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_file() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn a_browser_gets_its_limits_and_leaves_nothing() {
    let base = base("cpuset cpu io memory pids");
    let groups = Cgroups::below(base.path(), "7-abc", LIMITS).unwrap();
    let handed_on = |dir: &Path| fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap();
    assert_eq!(handed_on(base.path()), "+memory +pids +cpu");
    let tree = base.path().join("berth-7-abc");
    assert_eq!(handed_on(&tree), "+memory +pids +cpu");

    let group = made(&groups, "browser-1");
    let dir = tree.join("browser-1");
    let says = |file: &str| fs::read_to_string(dir.join(file)).unwrap();
    assert_eq!(says("memory.max"), (256 << 20).to_string());
    assert_eq!(says("memory.oom.group"), "1");
    assert_eq!(says("pids.max"), "3200");
    assert_eq!(says("cpu.max"), "150000 100000");
    assert!(!dir.join("memory.swap.max").exists(), "no file is invented");

    group.take_in(4242).unwrap();
    assert_eq!(says("cgroup.procs"), "4242");
    fs::write(dir.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
    assert!(!group.is_empty());
    group.kill();
    assert_eq!(says("cgroup.kill"), "1");
    fs::write(dir.join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
    assert!(group.is_empty());
    fs::write(dir.join("memory.events"), "oom 3\noom_kill 0\n").unwrap();
    assert!(!group.ran_out_of_memory());
    fs::write(dir.join("memory.events"), "oom 3\noom_kill 2\n").unwrap();
    assert!(group.ran_out_of_memory());

    empty(&dir);
    drop(group);
    assert!(!dir.exists());
    empty(&tree);
    drop(groups);
    assert!(!tree.exists());
}

#[test]
fn without_the_controllers_or_the_right_there_are_none_and_nothing_is_left() {
    let lacking = base("memory cpu");
    let why = Cgroups::below(lacking.path(), "7-abc", LIMITS).unwrap_err();
    assert!(why.ends_with("lacks pids"), "{why}");
    let entries = fs::read_dir(lacking.path()).unwrap().count();
    assert_eq!(entries, 1, "only what was there");
    let nothing = tempfile::tempdir().unwrap();
    assert!(Cgroups::below(nothing.path(), "7-abc", LIMITS).is_err());
    // No processor time to limit, no need of its controller.
    let limits = Limits { cpu: 0, ..LIMITS };
    let enough = base("memory pids");
    let groups = Cgroups::below(enough.path(), "7-abc", limits).unwrap();
    empty(&groups.tree.0);
}

#[test]
fn what_a_dead_broker_left_is_swept_and_what_a_living_one_has_is_not() {
    let base = base("memory pids cpu");
    // Numbers of processes end at four million.
    let dead = base.path().join("berth-4999999-abc/browser-3");
    let living = base
        .path()
        .join(format!("berth-{}-abc/browser-3", std::process::id()));
    let foreign = base.path().join("somebody");
    for dir in [&dead, &living, &foreign] {
        fs::create_dir_all(dir).unwrap();
    }
    let groups = Cgroups::below(base.path(), "7-abc", LIMITS).unwrap();
    assert!(!dead.exists() && !dead.parent().unwrap().exists());
    assert!(living.exists() && foreign.exists());
    empty(&groups.tree.0);
}

#[test]
fn the_kernel_itself_limits_kills_and_forgets() {
    let limits = Limits { cpu: 0, ..LIMITS };
    let name = format!("{}-test", std::process::id());
    let groups = match Cgroups::delegated(&name, limits) {
        Ok(groups) => groups,
        Err(why) => {
            eprintln!("skipped: no control groups are delegated to this process: {why}");
            return;
        }
    };
    let tree = groups.tree.0.clone();
    let group = groups.browser("browser-1").unwrap();
    let limit = fs::read_to_string(group.dir.join("memory.max")).unwrap();
    assert_eq!(limit.trim(), (256 << 20).to_string());
    let mut child = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    group.take_in(i32::try_from(child.id()).unwrap()).unwrap();
    assert!(!group.is_empty());
    group.kill();
    child.wait().unwrap();
    assert!(group.is_empty());
    drop(group);
    drop(groups);
    assert!(!tree.exists());
}
