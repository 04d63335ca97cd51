//! Passwords: which will do, how they are hashed, and how one is known by its hash.

use std::cell::RefCell;

use argon2::password_hash::phc::{Ident, Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, Params, Version};

use crate::store::secret::{Cost, Hash};

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// Passwords have at least so many bytes,
pub const PASSWORD_MIN: usize = 8;
/// and at most so many.
pub const PASSWORD_MAX: usize = 256;

/// A hash that asks for more than this was not made by us.
const MEMORY_KIB_MAX: u32 = 256 << 10;
const PASSES_MAX: u32 = 64;

/// The passwords that are tried first, in small letters, one a line and sorted: what two lists of the most common ones have of
/// eight letters and more.
const COMMON: &str = include_str!("common_passwords.txt");

/// What a new password may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakness {
    /// Too few bytes.
    Short,
    /// Too many.
    Long,
    /// One of those that are tried first.
    Common,
}

/// Whether a password will do for an account of this name.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(password: &str, name: &str) -> Result<(), Weakness> {
    if password.len() < PASSWORD_MIN {
        return Err(Weakness::Short);
    }
    if password.len() > PASSWORD_MAX {
        return Err(Weakness::Long);
    }
    let small = password.to_lowercase();
    if small == name || is_common(&small) {
        return Err(Weakness::Common);
    }
    Ok(())
}

/// Finds a line in sorted lines.
fn is_common(password: &str) -> bool {
    let (mut low, mut high) = (0, COMMON.len());
    while low < high {
        let middle = low.midpoint(high);
        let start = COMMON[..middle].rfind('\n').map_or(0, |at| at + 1);
        let line = COMMON[start..].split('\n').next().unwrap_or_default();
        match line.cmp(password) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

impl Cost {
    fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, 1, Some(Params::DEFAULT_OUTPUT_LEN)).ok()
    }
}

impl Hash {
    /// Hashes a password. Takes some ten milliseconds and the memory that the cost says. `None` if that cannot be had.
    pub fn of(password: &str, salt: [u8; SALT_BYTES], cost: Cost) -> Option<Hash> {
        let params = cost.params()?;
        let text = ParamsString::try_from(&params).ok()?;
        let output = compute(password, &salt, params)?;
        write(text, &salt, output)
    }

    /// A hash that costs the same to check, and that no password has: for names without an account.
    pub fn dummy(cost: Cost) -> Hash {
        let made = cost.params().and_then(|params| {
            let output = Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).ok()?;
            write(ParamsString::try_from(&params).ok()?, &[0; SALT_BYTES], output)
        });
        made.unwrap_or_default()
    }

    /// Whether a password is the one. Takes as long as to hash it.
    pub fn is_of(&self, password: &str) -> bool {
        let Ok(kept) = PasswordHash::new(&self.0) else { return false };
        let (Some(salt), Some(expected), Some(cost)) = (kept.salt, kept.hash, cost_of(&kept)) else { return false };
        let Some(params) = cost.params() else { return false };
        // `Output` compares in constant time.
        compute(password, salt.as_ref(), params).is_some_and(|output| output == expected)
    }

    /// Whether it costs what hashes cost today.
    pub fn costs(&self, cost: Cost) -> bool {
        PasswordHash::new(&self.0).ok().and_then(|kept| cost_of(&kept)) == Some(cost)
    }
}

fn write(params: ParamsString, salt: &[u8], output: Output) -> Option<Hash> {
    let hash = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(output),
    };
    Some(Hash(hash.to_string().into()))
}

fn cost_of(kept: &PasswordHash) -> Option<Cost> {
    let ident: Ident = kept.algorithm;
    let params = Params::try_from(kept).ok()?;
    let cost = Cost { memory_kib: params.m_cost(), passes: params.t_cost() };
    let is_ours = ident == ARGON2ID_IDENT
        && params.p_cost() == 1
        && cost.memory_kib <= MEMORY_KIB_MAX
        && cost.passes <= PASSES_MAX;
    is_ours.then_some(cost)
}

thread_local! {
    /// A helper keeps the memory for the next hash; it goes when the helper does, some seconds after the last.
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

fn compute(password: &str, salt: &[u8], params: Params) -> Option<Output> {
    let blocks = params.block_count();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    MEMORY.with_borrow_mut(|memory| {
        if memory.len() < blocks {
            memory.reserve_exact(blocks - memory.len());
            memory.resize(blocks, Block::default());
        }
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        argon.hash_password_into_with_memory(password.as_bytes(), salt, &mut output, &mut memory[..blocks]).ok()?;
        Output::new(&output).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1 };

    #[test]
    fn a_password_is_known_by_its_hash_and_by_nothing_else() {
        let hash = Hash::of("correct horse", [7; 16], CHEAP).unwrap();
        assert!(hash.as_text().starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", hash.as_text());
        let kept = Hash::from_text(hash.as_text());
        assert!(kept.is_of("correct horse"));
        for other in ["", "correct hors", "correct horse ", "Correct horse"] {
            assert!(!kept.is_of(other), "{other}");
        }
        assert!(kept.costs(CHEAP) && !kept.costs(Cost { passes: 2, ..CHEAP }));
    }

    #[test]
    fn the_same_password_has_another_hash_with_another_salt_and_the_memory_is_used_again() {
        let one = Hash::of("correct horse", [1; 16], CHEAP).unwrap();
        assert!(Hash::of("x", [3; 16], Cost { memory_kib: 256, passes: 2 }).unwrap().is_of("x"));
        assert!(one != Hash::of("correct horse", [2; 16], CHEAP).unwrap());
        let again = Hash::of("correct horse", [1; 16], CHEAP).unwrap();
        assert!(one == again, "what was in the memory does not matter");
    }

    #[test]
    fn the_dummy_costs_the_same_and_is_nobodys() {
        let dummy = Hash::dummy(CHEAP);
        assert!(dummy.costs(CHEAP));
        assert!(!dummy.is_of("") && !dummy.is_of("password"));
    }

    #[test]
    fn what_is_no_hash_of_ours_is_nobodys() {
        let with = |params: &str| {
            format!("$argon2id$v=19${params}$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        };
        for text in ["", "x", "$argon2id$v=19$m=64,t=1,p=1", &with("m=4194304,t=1,p=1"), &with("m=64,t=4000000,p=1")] {
            assert!(!Hash::from_text(text).is_of("password"), "{text}");
        }
    }

    #[test]
    fn a_password_is_long_enough_not_too_long_and_not_one_of_those_that_are_tried_first() {
        for (password, expected) in [
            ("1234567", Err(Weakness::Short)),
            ("7&uK ♥p", Ok(())),
            (&*"x".repeat(256), Ok(())),
            (&"x".repeat(257), Err(Weakness::Long)),
            ("password", Err(Weakness::Common)),
            ("PassWord", Err(Weakness::Common)),
            ("qwertyuiop", Err(Weakness::Common)),
            ("ada.lovelace", Err(Weakness::Common)),
            ("ada.lovelac", Ok(())),
        ] {
            assert_eq!(check_password(password, "ada.lovelace"), expected, "{password}");
        }
    }

    #[test]
    fn every_common_password_is_found_and_none_between_them() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() > 2000 && lines.is_sorted(), "{}", lines.len());
        assert!(lines.iter().all(|line| is_common(line)));
        assert!(lines.iter().all(|line| !is_common(&format!("{line}\u{1}")) && !is_common(&line[..line.len() - 1])
            || lines.contains(&&line[..line.len() - 1])));
        assert!(!is_common("") && !is_common("~~~~~~~~"));
    }
}
