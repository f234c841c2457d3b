package import LogModel

/// The key that makes equal secrets tellable (`REDACTION=hash`), kept in `<state directory>/redaction-key`: 32 hexadecimal
/// digits and a newline, readable by the daemon's user alone. Who has it can try guesses at what was replaced.
package struct RedactionKey: Sendable {
    /// Sixteen.
    package var bytes: [UInt8]
    /// Where the file is now that could not be read; `nil` when there was none. Marks made under its key match no new ones.
    package var movedTo: String?

    /// Reads the file, or makes a new key from sixteen random bytes and writes it; a file that holds no key is set aside.
    /// Never fails: a key that cannot be kept serves this run, and the next one's marks differ from this one's.
    package static func load(directory: String, random: [UInt8], now: Timestamp) -> RedactionKey {
        precondition(random.count == 16, "a key has sixteen bytes")
        let path = directory + "/redaction-key"
        if let bytes = read(path) { return RedactionKey(bytes: bytes) }
        let movedTo = SmallFile.setAside(path, now: now)
        let text = random.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        _ = SmallFile.write(text, to: path, mode: 0o600)
        return RedactionKey(bytes: random, movedTo: movedTo)
    }

    private static func read(_ path: String) -> [UInt8]? {
        guard let text = SmallFile.read(path, byteCountMax: 64),
            text.count == 32 || (text.count == 33 && text[32] == 0x0A)
        else { return nil }
        var key: [UInt8] = []
        for index in stride(from: 0, to: 32, by: 2) {
            guard let byte = UInt8(String(decoding: text[index..<index + 2], as: UTF8.self), radix: 16) else {
                return nil
            }
            key.append(byte)
        }
        return key
    }
}
