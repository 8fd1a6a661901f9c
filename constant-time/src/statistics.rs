//! Welch's test.

/// Numbers, as mean and variance (Welford 1962).
#[derive(Default)]
pub(crate) struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// Variance of the mean.
    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }

    /// Welch's t: how far apart the means are, in standard errors.
    pub(crate) fn welch(&self, other: &Self) -> f64 {
        let apart = self.mean - other.mean;
        if apart == 0.0 { 0.0 } else { apart / (self.error() + other.error()).sqrt() }
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sample = Self::default();
        values.into_iter().for_each(|value| sample.add(value));
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: means 2 and 4, variances 1 and 4, three values each.
    #[test]
    fn t_is_welchs() {
        let sample = |values: [f64; 3]| values.into_iter().collect::<Sample>();
        let t = sample([1.0, 2.0, 3.0]).welch(&sample([2.0, 4.0, 6.0]));
        assert!((t + 2.0 / (5.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{t}");
        assert!(sample([1.0; 3]).welch(&sample([1.0; 3])).abs() < 1e-12);
        assert!(sample([1.0; 3]).welch(&sample([2.0; 3])).is_infinite());
    }
}
