internal import Glibc
package import LogModel

/// The node's name, kept in `<state directory>/node-id`: 36 characters and a newline.
package struct NodeIdentity: Sendable, Equatable {
    package var id: NodeID
    /// Made by this call: there was none, or it could not be read. Harmless: streams are random, so nothing is counted twice
    /// under a new name.
    package var isNew: Bool
    /// Whether the next start will find it.
    package var isPersistent: Bool

    /// Reads the file, or makes a new id from sixteen random bytes and writes it (temporary file, fsync, rename, fsync of the
    /// directory). Never fails: an id that cannot be kept serves this run.
    package static func load(directory: String, random: [UInt8]) -> NodeIdentity {
        let path = directory + "/node-id"
        if let id = read(path) { return NodeIdentity(id: id, isNew: false, isPersistent: true) }
        let id = NodeID(random: random)
        return NodeIdentity(id: id, isNew: true, isPersistent: write(id, to: path, in: directory))
    }

    private static func read(_ path: String) -> NodeID? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { _ = Glibc.close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count == 36 || (count == 37 && buffer[36] == 0x0A) else { return nil }
        return NodeID(text: String(decoding: buffer[..<36], as: UTF8.self))
    }

    private static func write(_ id: NodeID, to path: String, in directory: String) -> Bool {
        let temporary = path + ".new"
        // The directory is normally made by systemd or by opening the spool before this; if not, the open below fails.
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { return false }
        let text = Array((id.text + "\n").utf8)
        let isWritten = Glibc.write(descriptor, text, text.count) == text.count && fsync(descriptor) == 0
        guard Glibc.close(descriptor) == 0, isWritten, rename(temporary, path) == 0 else {
            _ = unlink(temporary)
            return false
        }
        let folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return true }
        // Should the sync fail, a power cut may bring a new id, which is harmless.
        _ = fsync(folder)
        _ = Glibc.close(folder)
        return true
    }
}
