//! Secrets that are typed: nothing of them is shown, and whatever happens the terminal is afterwards as it was.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};

/// Asks whoever sits at the terminal for a secret. An interrupt (Ctrl-C) takes effect when the terminal is as it was.
///
/// # Errors
/// What the system says.
pub fn ask_secret(prompt: &str) -> io::Result<String> {
    let terminal = File::open("/dev/tty")?;
    // What is declared first goes last: the interrupt that is asked for has to wait for the terminal.
    let _wait = Interrupts::wait();
    // Whoever types at the sight of the prompt may be faster than what follows it.
    let _hush = Hush::over(&terminal);
    rpassword::prompt_password(prompt)
}

/// While it lives, interrupts of this thread wait.
struct Interrupts(Option<SigSet>);

impl Interrupts {
    fn wait() -> Interrupts {
        Interrupts(SigSet::from(Signal::SIGINT).thread_swap_mask(SigmaskHow::SIG_BLOCK).ok())
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = before.thread_set_mask();
        }
    }
}

/// A terminal that shows nothing and takes an interrupt for a letter; dropped, it is as it was.
struct Hush<'t, T: AsFd> {
    terminal: &'t T,
    before: Option<Termios>,
}

impl<'t, T: AsFd> Hush<'t, T> {
    fn over(terminal: &'t T) -> Hush<'t, T> {
        let before = tcgetattr(terminal).ok();
        if let Some(mut silent) = before.clone() {
            silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
            silent.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
            silent.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
            // Where it cannot be said the one who reads says it a moment later.
            let _ = tcsetattr(terminal, SetArg::TCSANOW, &silent);
        }
        Hush { terminal, before }
    }
}

impl<T: AsFd> Drop for Hush<'_, T> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(self.terminal, SetArg::TCSANOW, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_mute_while_it_is_hushed_and_then_as_it_was() {
        let pair = nix::pty::openpty(None, None).unwrap();
        let modes = || tcgetattr(&pair.slave).unwrap();
        let before = modes();
        assert!(before.local_flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        let hush = Hush::over(&pair.slave);
        assert!(!modes().local_flags.intersects(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG));
        drop(hush);
        assert_eq!(modes(), before);
    }
}
