//! What the metrics call a lock, which only code can say.

use std::sync::Arc;

use lock_core::{LockName, LockServiceBuilder};

/// The value of the label `lock` for a lock of this name.
pub(super) type LabelOf = Arc<dyn for<'a> Fn(&'a LockName) -> &'a str + Send + Sync>;

pub(super) fn apply(builder: LockServiceBuilder, label_of: Option<LabelOf>) -> LockServiceBuilder {
    match label_of {
        Some(label_of) => builder.metrics_label(move |name| label_of(name)),
        None => builder,
    }
}
