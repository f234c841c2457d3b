internal import Glibc
internal import LogModel

/// A file of one short line in the state directory, written whole or not at all.
enum SmallFile {
    /// At most `byteCountMax` bytes of the file; `nil` when there is none, or it is none that can be read (a folder, a pipe,
    /// somebody else's).
    static func read(_ path: String, byteCountMax: Int) -> [UInt8]? {
        // Without blocking: a pipe may stand there.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { _ = Glibc.close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: byteCountMax)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        return count >= 0 ? Array(buffer.prefix(count)) : nil
    }

    /// Writes a temporary file, syncs it, renames it and syncs the directory. Whether the next start will find it.
    static func write(_ line: String, to path: String, mode: mode_t) -> Bool {
        let temporary = path + ".new"
        // The directory is normally made by systemd or by opening the spool before this; if not, the open below fails.
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { return false }
        let bytes = Array((line + "\n").utf8)
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        guard Glibc.close(descriptor) == 0, isWritten, rename(temporary, path) == 0 else {
            _ = unlink(temporary)
            return false
        }
        // Should the sync fail, a power cut may bring back what was there, or nothing: then it is made anew.
        if let slash = path.lastIndex(of: "/") { SpoolFile.syncDirectory(String(path[...slash])) }
        return true
    }

    /// Moves what stands there, and could not be used, to a dated name; its new path, or `nil` when nothing stood there or it
    /// cannot be moved.
    static func setAside(_ path: String, now: Timestamp) -> String? {
        var information = stat()
        guard lstat(path, &information) == 0 else { return nil }
        return DamagedFiles.moveAside(path, now: now)
    }
}
