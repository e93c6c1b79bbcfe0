//! What the system knows about the process, under the names that all programs use for it.

use std::fs;

use super::Page;

/// Writes what can be found out; other systems than Linux have no such files.
pub(super) fn write(started_unix: f64, page: &mut Page) {
    page.single("process_start_time_seconds", "gauge", "When the process began, in seconds since 1970", started_unix);
    let memory = fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    if let Some(kib) = memory {
        page.single("process_resident_memory_bytes", "gauge", "The memory that the process has", kib * 1024);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        page.single("process_open_fds", "gauge", "Open files and connections of the process", files.count());
    }
}
