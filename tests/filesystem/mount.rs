//! File systems mounted for one test.

use std::{
    env,
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
    time::Instant,
};

use tempfile::TempDir;

use crate::HANG;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// In memory, with these options of `mount`.
    Tmpfs(&'static str),
    /// In an image file of 8 MiB, with these options of `mkfs.ext4` and of `mount`.
    Ext4(&'static str, &'static str),
}

const IMAGE_BYTES: u64 = 8 << 20;

impl Kind {
    /// The reason why this kind cannot be mounted here. It is determined once, so a later error
    /// fails the test.
    fn obstacle(self) -> Option<&'static str> {
        static TMPFS: LazyLock<Option<String>> =
            LazyLock::new(|| Kind::Tmpfs("size=64k").try_out());
        static EXT4: LazyLock<Option<String>> = LazyLock::new(|| Kind::Ext4("", "rw").try_out());
        match self {
            Self::Tmpfs(_) => TMPFS.as_deref(),
            Self::Ext4(..) => EXT4.as_deref(),
        }
    }

    fn try_out(self) -> Option<String> {
        Mount::make(self, TempDir::new().unwrap()).err()
    }
}

/// A separate file system, mounted until this is dropped.
pub(crate) struct Mount {
    kind: Kind,
    /// Contains the mount point and the image.
    home: TempDir,
}

impl Mount {
    /// Mounts a file system. Prints a note and returns `None` if this machine or user cannot.
    pub(crate) fn new(kind: Kind) -> Option<Self> {
        Self::new_in(kind, &env::temp_dir())
    }

    /// Like `new`, with the image in another directory.
    pub(crate) fn new_in(kind: Kind, parent: &Path) -> Option<Self> {
        let obstacle = if !is_root() {
            Some("mounting takes root")
        } else if matches!(kind, Kind::Ext4(..)) && !has_mkfs() {
            Some("`mkfs.ext4` is not installed")
        } else {
            kind.obstacle()
        };
        if let Some(obstacle) = obstacle {
            println!("skipped: {kind:?}: {obstacle}");
            return None;
        }
        Some(Self::make(kind, TempDir::new_in(parent).unwrap()).unwrap())
    }

    /// Syncs the file system.
    pub(crate) fn sync(&self) {
        insist(Command::new("sync").arg("-f").arg(self.path()));
    }

    fn make(kind: Kind, home: TempDir) -> Result<Self, String> {
        let image = image(&home);
        if let Kind::Ext4(options, _) = kind {
            File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
            let mut mkfs = Command::new(find("mkfs.ext4").unwrap());
            run(mkfs
                .args(["-q", "-F"])
                .args(options.split_whitespace())
                .arg(image))
            .unwrap();
        }
        let made = Self::attach(kind, home)?;
        fs::set_permissions(made.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Ok(made)
    }

    fn attach(kind: Kind, home: TempDir) -> Result<Self, String> {
        // Made before the mount, so that the drop unmounts it even after a panic.
        let this = Self { kind, home };
        fs::create_dir(this.path()).unwrap();
        this.mount()?;
        Ok(this)
    }

    fn mount(&self) -> Result<(), String> {
        let mut mount = Command::new("mount");
        match self.kind {
            Kind::Tmpfs(options) => mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]),
            // The kernel detaches the loop device on unmount.
            Kind::Ext4(_, options) => mount
                .args(["-t", "ext4", "-o", &format!("loop,{options}")])
                .arg(image(&self.home)),
        };
        run(mount.arg(self.path()))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.home.path().join("mounted")
    }

    pub(crate) fn remount(&self, options: &str) {
        insist(
            Command::new("mount")
                .args(["-o", &format!("remount,{options}")])
                .arg(self.path()),
        );
    }

    /// Unmounts and mounts the file system again. None of its files may be open. A file system in
    /// memory stays mounted.
    pub(crate) fn mount_again(&self) {
        if let Kind::Tmpfs(_) = self.kind {
            return self.remount("rw");
        }
        insist(Command::new("umount").arg(self.path()));
        self.mount().unwrap();
    }

    /// The file system after a power failure at this moment, with exactly the data that has been
    /// written to the device.
    pub(crate) fn after_power_failure(&self) -> Option<Self> {
        let Kind::Ext4(..) = self.kind else {
            return None;
        };
        let home = TempDir::new().unwrap();
        fs::copy(image(&self.home), image(&home)).unwrap();
        Some(Self::attach(self.kind, home).unwrap())
    }

    /// Makes the kernel find damage, and react as `errors=` says. Prints a note and returns `false`
    /// if that is impossible.
    pub(crate) fn damage(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let path = fs::canonicalize(self.path()).unwrap();
        let mut mounts = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let fields = mounts.find(|fields| Path::new(fields[1]) == path).unwrap();
        let device = Path::new(fields[0]).file_name().unwrap();
        let trigger = Path::new("/sys/fs/ext4")
            .join(device)
            .join("trigger_fs_error");
        fs::write(trigger, "a test")
            .inspect_err(|error| {
                println!("skipped: {:?}: it cannot be damaged: {error}", self.kind)
            })
            .is_ok()
    }

    /// Uses up all free room.
    pub(crate) fn fill(&self) {
        let mut file = File::create(self.path().join("filler")).unwrap();
        for size in [1 << 16, 1 << 12] {
            while file.write_all(&vec![1; size]).is_ok() {}
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

fn image(home: &TempDir) -> PathBuf {
    home.path().join("image")
}

pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}

/// Returns whether mkfs.ext4 is installed. With `CI` set it must be.
fn has_mkfs() -> bool {
    let found = find("mkfs.ext4").is_some();
    let ci = env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(
        found || !ci,
        "`mkfs.ext4` is not installed, and with CI set no test may be skipped"
    );
    found
}

/// Finds a program in the path or in the directories for administrators.
fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories
        .map(|directory| directory.join(program))
        .find(|program| program.is_file())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// Repeats a command that fails while files are open. A process that another test forks has all
/// files open until it executes its program.
fn insist(command: &mut Command) {
    let start = Instant::now();
    while let Err(error) = run(command) {
        assert!(start.elapsed() < HANG, "{error}");
    }
}
