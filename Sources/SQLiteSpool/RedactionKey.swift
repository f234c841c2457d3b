internal import Glibc

/// The key that makes equal secrets tellable (`REDACTION=hash`), kept in `<state directory>/redaction-key`: 32 hexadecimal
/// digits and a newline, readable by the daemon's user alone. Who has it can try guesses at what was replaced.
package enum RedactionKey {
    /// Reads the file, or makes a new key from sixteen random bytes and writes it. Never fails: a key that cannot be kept
    /// serves this run, and the next one's marks differ from this one's.
    package static func load(directory: String, random: [UInt8]) -> [UInt8] {
        precondition(random.count == 16, "a key has sixteen bytes")
        let path = directory + "/redaction-key"
        if let key = read(path) { return key }
        write(random, to: path)
        return random
    }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { _ = Glibc.close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count == 32 || (count == 33 && buffer[32] == 0x0A) else { return nil }
        var key: [UInt8] = []
        for index in stride(from: 0, to: 32, by: 2) {
            guard let byte = UInt8(String(decoding: buffer[index..<index + 2], as: UTF8.self), radix: 16) else {
                return nil
            }
            key.append(byte)
        }
        return key
    }

    private static func write(_ key: [UInt8], to path: String) {
        let temporary = path + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        let text = key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
        let bytes = Array(text.utf8)
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        guard Glibc.close(descriptor) == 0, isWritten, rename(temporary, path) == 0 else {
            _ = unlink(temporary)
            return
        }
    }
}
