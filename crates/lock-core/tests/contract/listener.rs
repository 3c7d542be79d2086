//! Calls tests back with what is logged in their own threads.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// An event, with all its fields as text; the message is the field `message`.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) level: Level,
    pub(crate) fields: BTreeMap<&'static str, String>,
    /// The number of spans around it.
    pub(crate) depth: usize,
}

impl Told {
    /// The name of the event.
    pub(crate) fn event(&self) -> &str {
        self.field("event")
    }

    pub(crate) fn message(&self) -> &str {
        self.field("message")
    }

    /// The text of a field; empty if there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

type Hook = Box<dyn Fn(&Told)>;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Calls this thread back with each event.
pub(crate) fn listen(hook: impl Fn(&Told) + 'static) {
    // One subscriber for all threads: with one for each, callsites that are first met in another
    // thread meanwhile may stay silent.
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
    HOOK.set(Some(Box::new(hook)));
}

/// Keeps each event of this thread.
pub(crate) fn record() -> Rc<RefCell<Vec<Told>>> {
    let told = Rc::new(RefCell::new(Vec::new()));
    let hook = Rc::clone(&told);
    listen(move |event| hook.borrow_mut().push(event.clone()));
    told
}

struct Listener;

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "distlock"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        HOOK.with_borrow(|hook| {
            if let Some(hook) = hook {
                let mut fields = BTreeMap::new();
                event.record(&mut Fields(&mut fields));
                hook(&Told { level: *event.metadata().level(), fields, depth: DEPTH.get() });
            }
        });
    }

    fn enter(&self, _: &Id) {
        DEPTH.set(DEPTH.get() + 1);
    }

    fn exit(&self, _: &Id) {
        DEPTH.set(DEPTH.get() - 1);
    }
}
