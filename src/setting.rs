//! A value of `gateway.toml` that parts which outlive a reload read again and again.
//!
//! Set by the composition root, at the start and at each reload. What reads it twice for one decision may see two
//! values: read it once.

use std::fmt;

use arc_swap::ArcSwap;

/// A small value that can be replaced while others read it.
pub struct Setting<T>(ArcSwap<T>);

impl<T: Copy> Setting<T> {
    /// As it is at the start.
    pub fn new(value: T) -> Self {
        Self(ArcSwap::from_pointee(value))
    }

    /// As it is now.
    pub fn get(&self) -> T {
        **self.0.load()
    }

    /// Replaces it.
    pub fn set(&self, value: T) {
        self.0.store(value.into());
    }
}

impl<T: fmt::Debug> fmt::Debug for Setting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.load().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_it_gets_the_value_of_now() {
        let setting = Setting::new(1);
        assert_eq!(setting.get(), 1);
        setting.set(2);
        assert_eq!((setting.get(), format!("{setting:?}").as_str()), (2, "2"));
    }
}
