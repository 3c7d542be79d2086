//! `distlock status`: what the store says about locks.

use distlock::{LockOptions, LockStatus};

use crate::arguments;
use crate::exit::{self, Ending, Failure};
use crate::output::{self, Span, json_text};
use crate::store;

pub(crate) async fn status(arguments: &arguments::Status) -> Result<Ending, Failure> {
    let locks = store::connect(&arguments.store, LockOptions::new()).await?.locks;
    let mut found = Vec::new();
    for name in &arguments.names {
        found.push((&**name, locks.status(&**name).await?));
    }
    let text = if arguments.json { json(&found) } else { for_people(&found) };
    output::print(&text).map_err(|error| {
        Failure::new(exit::USAGE, format!("the status cannot be written: {error}"))
    })?;
    Ok(Ending::Code(exit::SUCCESS))
}

fn for_people(found: &[(&str, Option<LockStatus>)]) -> String {
    let head = ["NAME", "STATE", "ENDS IN", "WAITING", "FENCING TOKEN"].map(str::to_owned);
    let mut rows = vec![head.to_vec()];
    for (name, status) in found {
        // A name may hold what a terminal takes for a command.
        let name = name.escape_debug().to_string();
        rows.push(match status {
            None => vec![name, "free".to_owned()],
            Some(status) => {
                let ends = status.remaining.map_or("never".to_owned(), |it| Span(it).to_string());
                let waiting = status.waiters.map_or("?".to_owned(), |it| it.to_string());
                let token = status.fencing_token.map_or("-".to_owned(), |it| it.to_string());
                vec![name, "held".to_owned(), ends, waiting, token]
            }
        });
    }
    output::table(&rows)
}

fn json(found: &[(&str, Option<LockStatus>)]) -> String {
    let objects: Vec<String> = found
        .iter()
        .map(|(name, status)| {
            let remaining = status.as_ref().and_then(|it| it.remaining).map(|it| it.as_millis());
            let waiters = status.as_ref().and_then(|it| it.waiters);
            let token = status.as_ref().and_then(|it| it.fencing_token);
            format!(
                "{{\"name\":{},\"held\":{},\"remaining_ms\":{},\"waiters\":{},\
                 \"fencing_token\":{}}}",
                json_text(name),
                status.is_some(),
                or_null(remaining),
                or_null(waiters),
                or_null(token),
            )
        })
        .collect();
    format!("[{}]\n", objects.join(",\n "))
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_known_is_null_in_json_and_said_in_words_in_the_table() {
        let endless = LockStatus::new(None);
        let held = LockStatus::new(Some(Duration::from_millis(1_500))).with_waiters(2);
        let found = [("a", None), ("b\n", Some(endless)), ("c", Some(held))];
        assert_eq!(
            json(&found),
            "[{\"name\":\"a\",\"held\":false,\"remaining_ms\":null,\"waiters\":null,\
             \"fencing_token\":null},\n \
             {\"name\":\"b\\u000a\",\"held\":true,\"remaining_ms\":null,\"waiters\":null,\
             \"fencing_token\":null},\n \
             {\"name\":\"c\",\"held\":true,\"remaining_ms\":1500,\"waiters\":2,\
             \"fencing_token\":null}]\n"
        );
        assert_eq!(
            for_people(&found),
            "NAME  STATE  ENDS IN  WAITING  FENCING TOKEN\n\
             a     free\n\
             b\\n   held   never    ?        -\n\
             c     held   1.5s     2        -\n"
        );
    }
}
