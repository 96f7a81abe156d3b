//! What is in the middle of values in no order.
//!
//! Used by tables with an end, which forget their older half at once: one walk for many entries.

/// The middle one; `None` where there are none.
pub fn median<T: Ord>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    values.select_nth_unstable(middle);
    values.into_iter().nth(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_values_are_below_it() {
        assert_eq!(median([3, 1, 2]), Some(2));
        assert_eq!(median([4, 3, 1, 2]), Some(3));
        assert_eq!(median::<u8>([]), None);
    }
}
