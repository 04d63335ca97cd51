//! Token buckets, one an address: how often somebody may do something.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::clock::Moment;
use crate::config::limits::Rate;

/// More addresses than this are not remembered: the fullest buckets, which hold nobody back, go first.
const ADDRESSES_MAX: usize = 16_384;

/// All addresses' buckets for one rate.
pub struct Buckets {
    rate: Rate,
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// Tokens, in thousandths, as they were then.
    milli: u64,
    at: Moment,
}

impl Buckets {
    /// Buckets for a rate; with the rate off nobody is ever held back.
    pub fn new(rate: Rate) -> Buckets {
        Buckets { rate, buckets: HashMap::new() }
    }

    /// Takes a token. If there is none, says after how many seconds there is.
    pub fn take(&mut self, ip: IpAddr, now: Moment) -> Result<(), u32> {
        if self.rate.is_off() {
            return Ok(());
        }
        if self.buckets.len() >= ADDRESSES_MAX {
            self.forget_full(now);
        }
        let full = u64::from(self.rate.burst.max(1)) * 1000;
        let rate = self.rate;
        let bucket = self.buckets.entry(network(ip)).or_insert(Bucket { milli: full, at: now });
        let milli = refilled(bucket, rate, full, now);
        if milli >= 1000 {
            *bucket = Bucket { milli: milli - 1000, at: now };
            return Ok(());
        }
        // A refusal leaves the bucket alone: counted in thousandths, what it gains between two close requests would be nothing.
        let missing_ms = ((1000 - milli) * rate.per_ms).div_ceil(u64::from(rate.count) * 1000);
        Err(u32::try_from(missing_ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1))
    }

    fn forget_full(&mut self, now: Moment) {
        let full = u64::from(self.rate.burst.max(1)) * 1000;
        let rate = self.rate;
        self.buckets.retain(|_, bucket| refilled(bucket, rate, full, now) < full);
        // A sweep that frees little would have to be done again for the next address, and the next.
        if self.buckets.len() > ADDRESSES_MAX / 4 * 3 {
            // So many addresses at once are an attack; whoever is forgotten gets a full bucket, which is the lesser evil.
            self.buckets.clear();
        }
    }
}

fn refilled(bucket: &Bucket, rate: Rate, full: u64, now: Moment) -> u64 {
    let gained = now.since(bucket.at).saturating_mul(u64::from(rate.count)).saturating_mul(1000) / rate.per_ms.max(1);
    bucket.milli.saturating_add(gained).min(full)
}

/// What counts as one address: an IPv4 address, or the /64 a host has of IPv6.
pub fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_millis(ms)
    }

    #[test]
    fn a_burst_passes_then_one_a_second_and_others_are_not_touched() {
        let mut buckets = Buckets::new(Rate { count: 1, per_ms: 1000, burst: 10 });
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        for _ in 0..10 {
            assert_eq!(buckets.take(one, at(0)), Ok(()));
        }
        assert_eq!(buckets.take(one, at(0)), Err(1));
        assert_eq!(buckets.take(other, at(0)), Ok(()));
        assert_eq!(buckets.take(one, at(999)), Err(1));
        assert_eq!(buckets.take(one, at(1000)), Ok(()));
        assert_eq!(buckets.take(one, at(1000)), Err(1));
    }

    #[test]
    fn who_does_not_stop_asking_still_gets_its_rate() {
        let mut buckets = Buckets::new(Rate { count: 20, per_ms: 60_000, burst: 1 });
        let passed = (0..=60_000).filter(|&ms| buckets.take([10, 0, 0, 1].into(), at(ms)).is_ok()).count();
        assert_eq!(passed, 21);
    }

    #[test]
    fn an_ipv6_host_is_its_network_and_a_rate_may_be_off() {
        let mut buckets = Buckets::new(Rate { count: 1, per_ms: 60_000, burst: 1 });
        assert_eq!(buckets.take("2001:db8::1".parse().unwrap(), at(0)), Ok(()));
        assert_eq!(buckets.take("2001:db8::2".parse().unwrap(), at(0)), Err(60));
        assert_eq!(buckets.take("2001:db8:0:1::1".parse().unwrap(), at(0)), Ok(()));
        let mut off = Buckets::new(Rate::OFF);
        assert!((0..100).all(|_| off.take([1, 2, 3, 4].into(), at(0)).is_ok()));
    }
}
