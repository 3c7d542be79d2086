//! Programs that show distlock beside other libraries; each is one file in `src/bin`.
//!
//! They are apart from the examples of the facade, which need nothing but it and tokio, so that no
//! feature of these libraries reaches the product.
