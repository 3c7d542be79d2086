//! This process: how it describes itself, and which owner tokens are its own.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::backend::token::{InstanceId, OwnerToken};
use crate::types::holder::{Holder, Who};
use crate::types::process::{Description, ProcessInfo};

/// The description of the process. There is one, as there is one process: owner tokens name no part
/// of it.
static DESCRIPTION: LazyLock<Mutex<ProcessInfo>> = LazyLock::new(|| Mutex::new(as_found()));

/// How this process describes itself to others.
///
/// A backend that can tell who holds a lock keeps this where other processes find it, under the
/// [`InstanceId`] that this process's tokens begin with.
///
/// ```
/// # use lock_core as distlock;
/// assert_eq!(distlock::backend::this_process().pid, std::process::id());
/// ```
#[must_use]
pub fn this_process() -> ProcessInfo {
    DESCRIPTION.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Changes how this process describes itself.
pub(crate) fn describe(said: &Description) {
    if *said != Description::default() {
        DESCRIPTION.lock().unwrap_or_else(PoisonError::into_inner).change(said);
    }
}

/// Names the program, unless a service does: for the command line, where the executable says nothing.
#[doc(hidden)]
pub fn name_program(name: &str) {
    describe(&Description { program: Some(name.to_owned()), ..Description::default() });
}

/// Who holds what this token owns. `registered` is what the store knows of the token's process; it
/// counts for other processes than this one.
///
/// ```
/// # fn main() -> lock_core::Result<()> {
/// # use lock_core as distlock;
/// use distlock::backend::{OwnerToken, holder_of};
///
/// let holder = holder_of(OwnerToken::fresh()?, None);
/// assert!(holder.is_this_process && holder.since.is_some());
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn holder_of(token: OwnerToken, registered: Option<ProcessInfo>) -> Holder {
    let is_this_process = InstanceId::current().is_ok_and(|id| id == token.instance());
    let process = if is_this_process { Some(this_process()) } else { registered };
    let who = process.map_or(Who::Unregistered, Who::Process);
    let holder = Holder { since: Some(token.began()), is_this_process, ..Holder::new(who) };
    holder.with_id(token.into())
}

/// The process as it is when nobody has described it.
fn as_found() -> ProcessInfo {
    let executable =
        std::env::current_exe().ok().or_else(|| Some(std::env::args_os().next()?.into()));
    let name = executable.as_ref().and_then(|path| path.file_name());
    let program = name.map_or("unknown".into(), |name| name.to_string_lossy());
    ProcessInfo::new(&program, &host_name(), std::process::id()).with_started(in_seconds())
}

fn in_seconds() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_nobody_has_described_is_found_out() {
        let found = as_found();
        assert!(found.program.starts_with("lock_core"), "{found}");
        assert_eq!((found.pid, found.version.clone()), (std::process::id(), None));
        assert!(!found.host.is_empty() && found.started <= Some(SystemTime::now()), "{found:?}");
    }

    #[test]
    fn a_token_of_another_process_is_of_whom_the_store_knows_or_of_nobody_known() {
        let token = OwnerToken::from_bytes([7; 16]);
        let known = ProcessInfo::new("theirs", "b", 8);
        let holder = holder_of(token, Some(known.clone()));
        assert_eq!((holder.who, holder.is_this_process), (Who::Process(known.clone()), false));
        assert_eq!(holder.since, Some(token.began()));
        assert_eq!(holder_of(token, None).who, Who::Unregistered);
        // What is registered of this process may be older than what it says of itself.
        let own = holder_of(OwnerToken::fresh().unwrap(), Some(known));
        assert_eq!((own.who, own.is_this_process), (Who::Process(this_process()), true));
    }
}
