//! Calls tests back with what is logged in their own threads, and keeps the spans of these.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// A span, with all its fields as text.
#[derive(Clone, Debug)]
pub(crate) struct Spanned {
    id: u64,
    pub(crate) name: &'static str,
    pub(crate) fields: BTreeMap<&'static str, String>,
    /// The name of the span in which it began.
    pub(crate) parent: Option<&'static str>,
}

impl Spanned {
    /// The text of a field; empty if there is none.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

type Hook = Box<dyn Fn(&Told)>;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// The spans that have begun, if they are kept, and those that the thread is in.
    static SPANS: RefCell<Option<Vec<Spanned>>> = const { RefCell::new(None) };
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Calls this thread back with each event.
pub(crate) fn listen(hook: impl Fn(&Told) + 'static) {
    install();
    HOOK.set(Some(Box::new(hook)));
}

/// Keeps the spans that begin in this thread from now on.
pub(crate) fn keep_spans() {
    install();
    SPANS.set(Some(Vec::new()));
}

/// The spans that were kept, as they are now.
pub(crate) fn spans() -> Vec<Spanned> {
    SPANS.with_borrow(|spans| spans.clone().unwrap_or_default())
}

fn install() {
    // One subscriber for all threads: with one for each, callsites that are first met in another
    // thread meanwhile may stay silent.
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Listener).unwrap();
        // What another thread has met since the subscriber was made, and before it was set, has been
        // told that nobody listens.
        tracing::callsite::rebuild_interest_cache();
    });
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

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        SPANS.with_borrow_mut(|spans| {
            let Some(spans) = spans else { return };
            let around = ENTERED.with_borrow(|entered| entered.last().copied());
            let parent = spans.iter().find(|span| Some(span.id) == around).map(|span| span.name);
            let mut fields = BTreeMap::new();
            attributes.record(&mut Fields(&mut fields));
            spans.push(Spanned { id, name: attributes.metadata().name(), fields, parent });
        });
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        SPANS.with_borrow_mut(|spans| {
            let mut spans = spans.iter_mut().flatten();
            if let Some(span) = spans.find(|span| span.id == id.into_u64()) {
                values.record(&mut Fields(&mut span.fields));
            }
        });
    }

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

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
        DEPTH.set(DEPTH.get() + 1);
    }

    fn exit(&self, _: &Id) {
        ENTERED.with_borrow_mut(Vec::pop);
        DEPTH.set(DEPTH.get() - 1);
    }
}
