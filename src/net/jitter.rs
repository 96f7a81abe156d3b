//! A little randomness, so that what began together does not go on in step.

use std::time::Duration;

use aws_lc_rs::rand;

/// At random from -1 to 1.
pub fn jitter() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness there is no jitter; nothing else depends on it.
    if rand::fill(&mut bytes).is_err() {
        return 0.0;
    }
    2.0 * f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX) - 1.0
}

/// A time that is longer or shorter by up to this part of it.
pub fn spread(time: Duration, part: f64) -> Duration {
    time.mul_f64((1.0 + part * jitter()).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_both_ways_and_no_further() {
        let drawn: Vec<_> = (0..1000).map(|_| jitter()).collect();
        assert!(drawn.iter().all(|one| (-1.0..=1.0).contains(one)));
        assert!(drawn.iter().any(|one| *one < -0.5) && drawn.iter().any(|one| *one > 0.5));
    }

    #[test]
    fn a_time_is_spread_by_a_part_of_it() {
        let second = Duration::from_secs(1);
        assert_eq!(spread(second, 0.0), second);
        let (least, most) = (Duration::from_millis(799), Duration::from_millis(1201));
        assert!((0..1000).all(|_| (least..=most).contains(&spread(second, 0.2))));
    }
}
