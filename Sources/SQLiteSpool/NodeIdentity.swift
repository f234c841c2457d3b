package import LogModel

/// The node's name, kept in `<state directory>/node-id`: 36 characters and a newline.
package struct NodeIdentity: Sendable, Equatable {
    package var id: NodeID
    /// Made by this call: there was none, or it could not be read. Harmless: streams are random, so nothing is counted twice
    /// under a new name.
    package var isNew: Bool
    /// Whether the next start will find it.
    package var isPersistent: Bool
    /// Where the file is now that could not be read; `nil` when there was none.
    package var movedTo: String?

    /// Reads the file, or makes a new id from sixteen random bytes and writes it; a file that holds no id is set aside. Never
    /// fails: an id that cannot be kept serves this run.
    package static func load(directory: String, random: [UInt8], now: Timestamp) -> NodeIdentity {
        let path = directory + "/node-id"
        if let id = read(path) { return NodeIdentity(id: id, isNew: false, isPersistent: true) }
        let id = NodeID(random: random)
        let movedTo = SmallFile.setAside(path, now: now)
        return NodeIdentity(
            id: id,
            isNew: true,
            isPersistent: SmallFile.write(id.text, to: path, mode: 0o640),
            movedTo: movedTo
        )
    }

    private static func read(_ path: String) -> NodeID? {
        guard let bytes = SmallFile.read(path, byteCountMax: 64),
            bytes.count == 36 || (bytes.count == 37 && bytes[36] == 0x0A)
        else { return nil }
        return NodeID(text: String(decoding: bytes[..<36], as: UTF8.self))
    }
}
