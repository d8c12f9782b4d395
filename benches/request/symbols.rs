//! The functions at the addresses of this program.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    io::Write,
    process::{Command, Stdio},
    thread,
};

/// A function, and a file with a line number.
pub(crate) struct Place {
    pub(crate) function: String,
    pub(crate) file: String,
}

/// The functions of this program, by their first address.
pub(crate) struct Symbols {
    base: u64,
    names: BTreeMap<u64, String>,
    end: u64,
}

impl Symbols {
    pub(crate) fn of_this_program(maps: &str) -> Result<Self, Box<dyn Error>> {
        let program = env::current_exe()?;
        let path = program.to_string_lossy();
        let places = maps.lines().filter(|line| line.ends_with(&*path));
        let places: Vec<_> = places
            .filter_map(|line| line.split_once(' ')?.0.split_once('-'))
            .collect();
        let (first, last) = places
            .first()
            .zip(places.last())
            .ok_or("the program is not in the map")?;
        let base = u64::from_str_radix(first.0, 16)?;
        let output = Command::new("nm")
            .args(["--demangle", "--defined-only"])
            .arg(&program)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let symbol = |line: &str| {
            let (address, rest) = line.split_once(' ')?;
            let (kind, name) = rest.split_once(' ')?;
            let address = u64::from_str_radix(address, 16).ok()?;
            kind.eq_ignore_ascii_case("t")
                .then(|| (address, short(name)))
        };
        Ok(Self {
            base,
            names: text.lines().filter_map(symbol).collect(),
            end: u64::from_str_radix(last.1, 16)?,
        })
    }

    /// Returns whether the address is in this program, not in a shared library.
    pub(crate) fn contain(&self, address: u64) -> bool {
        (self.base..self.end).contains(&address)
    }

    /// Returns whether a function begins at this address.
    pub(crate) fn is_entry(&self, address: u64) -> bool {
        self.contain(address) && self.names.contains_key(&(address - self.base))
    }

    /// The functions around each of these addresses and their files, from the innermost inlined
    /// function outwards. The last one has its full name.
    pub(crate) fn places(&self, addresses: &[u64]) -> Result<Vec<Vec<Place>>, Box<dyn Error>> {
        let mut child = Command::new("addr2line")
            .args(["-a", "-f", "-i", "-C", "-e"])
            .arg(env::current_exe()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut input = child.stdin.take().ok_or("no input")?;
        let offset = |address: &u64| format!("{:#x}\n", address - self.base);
        let offsets: String = addresses.iter().map(offset).collect();
        // addr2line answers before it has read all of its input.
        let writer = thread::spawn(move || input.write_all(offsets.as_bytes()));
        let output = child.wait_with_output()?;
        writer.join().map_err(|_| "the writer has panicked")??;
        let text = String::from_utf8(output.stdout)?;
        let mut all: Vec<Vec<Place>> = Vec::new();
        let mut lines = text.lines().map(str::to_owned);
        while let Some(function) = lines.next() {
            if function.starts_with("0x") {
                all.push(Vec::new());
            } else if let Some((places, file)) = all.last_mut().zip(lines.next()) {
                places.push(Place { function, file });
            }
        }
        for (places, address) in all.iter_mut().zip(addresses) {
            if let Some(last) = places.last_mut() {
                self.find(*address).clone_into(&mut last.function);
            }
        }
        Ok(all)
    }

    pub(crate) fn find(&self, address: u64) -> &str {
        if !self.contain(address) {
            return "shared libraries";
        }
        let mut before = self.names.range(..=address - self.base);
        before.next_back().map_or("unknown", |(_, name)| name)
    }
}

/// The name without the hash at its end.
fn short(name: &str) -> String {
    let (front, hash) = name.rsplit_once("::h").unwrap_or((name, ""));
    if hash.len() == 16 { front } else { name }.to_owned()
}
