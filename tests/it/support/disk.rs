//! Small, full and read-only file systems.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{app, print_note};

/// A small file system of one test; needs the permission to mount.
pub(crate) struct Disk(pub(crate) PathBuf);

impl Disk {
    pub(crate) fn new(options: &str) -> Option<Self> {
        Self::mount(app::new_folder(), options)
    }

    /// Mounts a file system over a directory.
    pub(crate) fn mount(folder: PathBuf, options: &str) -> Option<Self> {
        Self::mount_at(folder, Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]))
    }

    /// Mounts a directory, whose files stay as writable as they are, read-only at another place.
    pub(crate) fn read_only_view(of: &Path) -> Option<Self> {
        Self::mount_at(app::new_folder(), Command::new("mount").args(["--bind", "-o", "ro"]).arg(of))
    }

    /// Makes a file read-only, also for root.
    pub(crate) fn read_only_file(file: &Path) -> Option<Self> {
        Self::mount_at(file.to_owned(), Command::new("mount").args(["--bind", "-o", "ro"]).arg(file))
    }

    fn mount_at(folder: PathBuf, mount: &mut Command) -> Option<Self> {
        let mount = mount.arg(&folder).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        print_note("cannot mount a small disk: full and read-only disks are not tested");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
        drop(fs::remove_dir(&self.0));
    }
}
