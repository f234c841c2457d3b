package import LogModel
package import Ports
internal import SQLiteClient

// How far replayable sources were counted: rows that come and go with batches.
extension SpoolStore {
    /// Positions kept a lane. A position names ``StretchBook/openCountMax`` stretches at most, whose receipts are looked up here;
    /// four times as many, as a stretch read again has an old number.
    private static let positionCountMax: Int64 = 32
    /// Where the copy is, which came with no batch.
    private static let copyLane = ""

    /// Keeps a batch's position, within the transaction that keeps the batch.
    func keep(_ position: SourcePosition, lane: String) throws(SQLiteError) {
        try connection.run(
            "INSERT INTO source_positions (lane, seal, position) VALUES (?1, ?2, ?3) "
                + "ON CONFLICT (lane, seal) DO UPDATE SET position = excluded.position"
        ) { statement in
            statement.bind(1, lane)
            statement.bind(2, position.own)
            position.text.withUnsafeBufferPointer { statement.bind(3, text: $0) }
        }
        try connection.run(
            "DELETE FROM source_positions WHERE lane = ?1 AND seal <= "
                + "(SELECT max(seal) FROM source_positions WHERE lane = ?1) - ?2"
        ) { statement in
            statement.bind(1, lane)
            statement.bind(2, Self.positionCountMax)
        }
    }

    /// Keeps a position by itself, synced; without a disk nothing is kept.
    func keepCopy(_ position: SourcePosition) throws(SQLiteError) {
        guard !isMemoryOnly else { return }
        var copy = position
        copy.own = 0
        try write(synced: true) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            .commit(try keep(copy, lane: Self.copyLane))
        }
    }

    /// All that are kept. A copy that says that nothing came after it says so once: from now on something may.
    func sourcePositions() throws(SQLiteError) -> [(position: SourcePosition, lane: Lane?)] {
        var found: [(position: SourcePosition, lane: Lane?)] = []
        try connection.query("SELECT lane, position FROM source_positions ORDER BY id") { row in
            guard let position = SourcePosition(text: Array(row.bytes(1))) else { return true }
            found.append((position, Lane(rawValue: row.text(0))))
            return true
        }
        for entry in found where entry.position.isFinal {
            var copy = entry.position
            copy.isFinal = false
            try keepCopy(copy)
        }
        return found
    }
}

extension SpoolDatabase {
    package func sourcePositions(
        completion: @escaping @Sendable (Result<[(position: SourcePosition, lane: Lane?)], SinkError>) -> Void
    ) {
        perform(completion) { store throws(SQLiteError) in .success(try store.sourcePositions()) }
    }

    package func keep(
        _ position: SourcePosition,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        perform(settling: false, completion) { store throws(SQLiteError) in .success(try store.keepCopy(position)) }
    }
}
