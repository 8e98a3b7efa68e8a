//! One target. Built by the runner, it is libFuzzer's program for the target that `BEELDBOX_FUZZ_TARGET` names. Built
//! in the ordinary way, it runs the files given after the target's name, for looking at one input in a debugger.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod fuzzing {
    //! The entry points that libFuzzer calls.

    use std::sync::LazyLock;

    use beeldbox_fuzz::{Target, budget, target};

    static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
        let name = std::env::var("BEELDBOX_FUZZ_TARGET").expect("BEELDBOX_FUZZ_TARGET names a target");
        target(&name).unwrap_or_else(|| panic!("{name} is no target"))
    });

    libfuzzer_sys::fuzz_target!(
        init: {
            LazyLock::force(&CHOSEN);
            LazyLock::force(&beeldbox_fuzz::authority::AUTHORITY);
        },
        |input: &[u8]| {
            budget::one_input(|| (CHOSEN.run)(input));
        }
    );
}

#[cfg(not(fuzzing))]
fn main() -> anyhow::Result<()> {
    use anyhow::Context;
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().context("fuzz-one TARGET FILE…")?;
    let target = beeldbox_fuzz::target(&name).context("no such target in this build")?;
    for path in arguments {
        let input = std::fs::read(&path).with_context(|| path.clone())?;
        println!("{path}: {} bytes", input.len());
        beeldbox_fuzz::budget::one_input(|| (target.run)(&input));
    }
    Ok(())
}
