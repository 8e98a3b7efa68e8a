//! The cage: limits and a system-call filter, closed before the first byte of an image is read.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

/// Address space, in bytes. The daemon's unit has 768 MiB for itself and one of us.
const MEMORY: u64 = 512 * 1024 * 1024;
/// Processor time, in seconds.
const SECONDS: u64 = 10;

/// What a decoder needs: read, write, memory, time, threads, and to end. Everything else ends the process.
const ALLOWED: [i64; 32] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_poll,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_prctl,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // These two are answered with an error before they are looked at here.
    libc::SYS_clone3,
    libc::SYS_openat,
    libc::SYS_newfstatat,
];

/// Closes the cage around this process. There is no way out of it.
pub fn enter() -> Result<()> {
    // If memory gets short all the same, this process goes and not the daemon that started it.
    std::fs::write("/proc/self/oom_score_adj", "1000").context("first to go")?;
    let limit = |resource, most| setrlimit(resource, most, most).with_context(|| format!("{resource:?}"));
    limit(Resource::RLIMIT_AS, MEMORY)?;
    limit(Resource::RLIMIT_CPU, SECONDS)?;
    limit(Resource::RLIMIT_NOFILE, 3)?;
    limit(Resource::RLIMIT_CORE, 0)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.into_iter().map(|call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, vec![threads_only()?]);
    // Libraries look for the number of processors in files, and do without. The flags of clone3 lie in memory, where no
    // filter can see them; without it threads are made by clone.
    deny(&[libc::SYS_openat, libc::SYS_newfstatat], libc::EACCES)?;
    deny(&[libc::SYS_clone3], libc::ENOSYS)?;
    // Last: no further filter can be put in after it.
    install(rules, SeccompAction::KillProcess, SeccompAction::Allow)
}

/// Threads of this process, and no other process.
fn threads_only() -> Result<SeccompRule> {
    let thread = u64::try_from(libc::CLONE_THREAD).context("the filter")?;
    let is_thread = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(thread), thread)
        .context("the filter")?;
    SeccompRule::new(vec![is_thread]).context("the filter")
}

fn deny(calls: &[i64], error: i32) -> Result<()> {
    let error = u32::try_from(error).context("the filter")?;
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    install(rules, SeccompAction::Allow, SeccompAction::Errno(error))
}

/// Also sets PR_SET_NO_NEW_PRIVS.
fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<()> {
    let architecture = std::env::consts::ARCH.try_into().context("the architecture")?;
    let filter = SeccompFilter::new(rules, otherwise, on_match, architecture).context("the filter")?;
    let program: BpfProgram = filter.try_into().context("the filter")?;
    apply_filter(&program).context("the filter is not taken")
}
