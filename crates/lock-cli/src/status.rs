//! `distlock status`: what the store says about locks.

use std::time::SystemTime;

use distlock::time_text::utc;
use distlock::{LockOptions, LockStatus, Who};

use crate::arguments;
use crate::exit::{self, Ending, Failure};
use crate::output::{self, Span, json_text};
use crate::store;

pub(crate) async fn status(arguments: &arguments::Status) -> Result<Ending, Failure> {
    let store = store::connect(&arguments.store, LockOptions::new()).await?;
    store.warn_if_private();
    let locks = store.locks;
    let mut found = Vec::new();
    for name in &arguments.names {
        found.push((&**name, locks.status(&**name).await?));
    }
    print(&found, arguments.json)
}

/// Prints locks: as JSON, or as a table.
pub(crate) fn print(
    found: &[(&str, Option<LockStatus>)],
    as_json: bool,
) -> Result<Ending, Failure> {
    let text = if as_json { json(found) } else { for_people(found) };
    output::print(&text).map_err(|error| {
        Failure::new(exit::USAGE, format!("the status cannot be written: {error}"))
    })?;
    Ok(Ending::Code(exit::SUCCESS))
}

/// A table with a line for each lock and for each who waits.
pub(crate) fn for_people(found: &[(&str, Option<LockStatus>)]) -> String {
    let head = ["NAME", "STATE", "ENDS IN", "WAITING", "FENCING TOKEN", "SINCE", "WHO"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, status) in found {
        // A name may hold what a terminal takes for a command.
        let name = name.escape_debug().to_string();
        let Some(status) = status else {
            rows.push(vec![name, "free".to_owned()]);
            continue;
        };
        let holder = status.holder.as_ref();
        let state = if is_released(status) { "released" } else { "held" };
        let ends = status.remaining.map_or("never".to_owned(), |it| Span(it).to_string());
        let waiting = status.waiters.map_or("?".to_owned(), |it| it.to_string());
        let token = status.fencing_token.map_or("-".to_owned(), |it| it.to_string());
        let since = since(holder.and_then(|holder| holder.since));
        let who = holder.map_or("?".to_owned(), |holder| holder.who.to_string());
        rows.push(vec![name, state.to_owned(), ends, waiting, token, since, who]);
        let nothing = String::new;
        rows.extend(status.queue.iter().map(|waiter| {
            let (since, who) = (self::since(waiter.since), waiter.who.to_string());
            vec![nothing(), "waits".to_owned(), nothing(), nothing(), nothing(), since, who]
        }));
    }
    output::table(&rows)
}

/// The name stays taken, and nobody holds the lock.
fn is_released(status: &LockStatus) -> bool {
    status.holder.as_ref().is_some_and(|holder| holder.has_released)
}

fn since(at: Option<SystemTime>) -> String {
    at.map_or("?".to_owned(), utc)
}

fn json(found: &[(&str, Option<LockStatus>)]) -> String {
    let objects: Vec<String> = found
        .iter()
        .map(|(name, status)| {
            let status = status.as_ref();
            let remaining = status.and_then(|it| it.remaining).map(|it| it.as_millis());
            let waiters = status.and_then(|it| it.waiters);
            let token = status.and_then(|it| it.fencing_token);
            let holder = status.and_then(|it| it.holder.as_ref()).map(|it| who(&it.who, it.since));
            let queue = status.map(|it| it.queue.as_slice()).unwrap_or_default();
            let queue: Vec<String> = queue.iter().map(|it| who(&it.who, it.since)).collect();
            format!(
                "{{\"name\":{},\"held\":{},\"remaining_ms\":{},\"waiters\":{},\
                 \"fencing_token\":{},\"released\":{},\"holder\":{},\"queue\":[{}]}}",
                json_text(name),
                status.is_some(),
                or_null(remaining),
                or_null(waiters),
                or_null(token),
                status.is_some_and(is_released),
                or_null(holder),
                queue.join(","),
            )
        })
        .collect();
    format!("[{}]\n", objects.join(",\n "))
}

/// Who holds a lock or waits for it, as an object.
fn who(who: &Who, since: Option<SystemTime>) -> String {
    let process = match who {
        Who::Process(process) => Some(process),
        _ => None,
    };
    let value = match who {
        Who::Other(value) => Some(value),
        _ => None,
    };
    let text = |text: Option<&String>| or_null(text.map(|text| json_text(text)));
    let time = |at: Option<SystemTime>| or_null(at.map(|at| json_text(&utc(at))));
    format!(
        "{{\"program\":{},\"version\":{},\"host\":{},\"pid\":{},\"started\":{},\"value\":{},\
         \"since\":{}}}",
        text(process.map(|process| &process.program)),
        text(process.and_then(|process| process.version.as_ref())),
        text(process.map(|process| &process.host)),
        or_null(process.map(|process| process.pid)),
        time(process.and_then(|process| process.started)),
        text(value),
        time(since),
    )
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use distlock::{Holder, ProcessInfo};

    use super::*;

    fn process(program: &str) -> Who {
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let process = ProcessInfo::new(program, "a", 7).with_version("1.2").with_started(started);
        Who::Process(process)
    }

    fn holder(who: Who, since: u64) -> Holder {
        let mut holder = Holder::new(who);
        holder.since = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(since));
        holder
    }

    #[test]
    fn what_is_not_known_is_null_in_json_and_said_in_words_in_the_table() {
        let endless =
            LockStatus::new(None).with_holder(Holder::new(Who::Other("\\\"x".to_owned())));
        let held = LockStatus::new(Some(Duration::from_millis(1_500))).with_waiters(2);
        let queue = [holder(process("w"), 60), holder(Who::Unregistered, 61)];
        let held = held.with_holder(holder(process("h"), 59)).with_queue(queue.map(Into::into));
        let rests = LockStatus::new(Some(Duration::from_secs(1)));
        let rests = rests.with_holder(holder(process("h"), 59).with_released(true));
        let nothing = LockStatus::new(None);
        let found = [
            ("a", None),
            ("b\n", Some(endless)),
            ("c", Some(held)),
            ("d", Some(rests)),
            ("e", Some(nothing)),
        ];
        let nobody =
            "\"program\":null,\"version\":null,\"host\":null,\"pid\":null,\"started\":null";
        let known = |program: &str, since: &str| {
            format!(
                "{{\"program\":\"{program}\",\"version\":\"1.2\",\"host\":\"a\",\"pid\":7,\
                 \"started\":\"1970-01-01T00:00:01Z\",\"value\":null,\
                 \"since\":\"1970-01-01T00:{since}Z\"}}"
            )
        };
        let (h, w) = (known("h", "00:59"), known("w", "01:00"));
        assert_eq!(
            json(&found),
            format!(
                "[{{\"name\":\"a\",\"held\":false,\"remaining_ms\":null,\
                 \"waiters\":null,\"fencing_token\":null,\"released\":false,\"holder\":null,\"queue\":[]}},\n \
                 {{\"name\":\"b\\u000a\",\"held\":true,\"remaining_ms\":null,\
                 \"waiters\":null,\"fencing_token\":null,\"released\":false,\
                 \"holder\":{{{nobody},\"value\":\"\\\\\\\"x\",\"since\":null}},\"queue\":[]}},\n \
                 {{\"name\":\"c\",\"held\":true,\"remaining_ms\":1500,\
                 \"waiters\":2,\"fencing_token\":null,\"released\":false,\"holder\":{h},\
                 \"queue\":[{w},{{{nobody},\"value\":null,\"since\":\"1970-01-01T00:01:01Z\"}}]}},\n \
                 {{\"name\":\"d\",\"held\":true,\"remaining_ms\":1000,\
                 \"waiters\":null,\"fencing_token\":null,\"released\":true,\"holder\":{h},\"queue\":[]}},\n \
                 {{\"name\":\"e\",\"held\":true,\"remaining_ms\":null,\
                 \"waiters\":null,\"fencing_token\":null,\"released\":false,\"holder\":null,\"queue\":[]}}]\n"
            )
        );
        let lines = [
            "NAME  STATE     ENDS IN  WAITING  FENCING TOKEN  SINCE                 WHO",
            "a     free",
            "b\\n   held      never    ?        -              ?                     another \
             program, which stored \"\\\"x\"",
            "c     held      1.5s     2        -              1970-01-01T00:00:59Z  h 1.2 (pid 7 on host a)",
            "      waits                                      1970-01-01T00:01:00Z  w 1.2 (pid 7 on host a)",
            "      waits                                      1970-01-01T00:01:01Z  a process that is not \
             registered",
            "d     released  1.0s     ?        -              1970-01-01T00:00:59Z  h 1.2 (pid 7 on host a)",
            "e     held      never    ?        -              ?                     ?",
        ];
        assert_eq!(for_people(&found).lines().collect::<Vec<_>>(), lines);
    }
}
