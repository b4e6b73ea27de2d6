//! The settings of what stands between a browser and the machine.

use super::{
    Kind,
    Preset::{Nothing, Text},
    Setting, setting,
};

pub(super) const ISOLATION: &[Setting] = &[
    setting(
        "jail",
        Text("auto"),
        Kind::Jail(|c| &mut c.jail),
        "What browsers run in: bubblewrap, which shows them nothing but the system and their own \
         directory; auto is bwrap where it works, else none",
    ),
    setting(
        "jail-paths",
        Nothing("none"),
        Kind::Paths(|c| &mut c.jail_paths),
        "Files and directories that browsers in a jail may read beside the system, such as fonts",
    ),
    setting(
        "browser-process-limit",
        Text("256"),
        Kind::U64(0..=100_000, |c| &mut c.browser_process_limit),
        "A browser that has more processes than this is killed; 0 for no limit",
    ),
    setting(
        "browser-cpu-limit",
        Text("0"),
        Kind::Cores(100..=1_000_000, |c| &mut c.browser_cpu_limit),
        "A browser may use so many cores: with control groups it gets no more, without them it is \
         killed when it uses more for half a minute",
    ),
];
