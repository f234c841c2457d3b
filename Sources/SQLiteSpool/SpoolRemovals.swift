internal import LogModel
internal import Ports
internal import SQLiteClient

// Removals that wait for a transaction to go with.
//
// A sink that was slow once costs a row in the spool and, a moment later, its removal: the same three to five pages written
// twice. A removal needs no write of its own: until it is made, a crash leaves a row that the sink has already, which is sent again
// under its name and changes nothing there. So it goes with the next transaction, that of the next slow moment as a rule.
//
// Only while the spool is empty but for such rows: nothing else of the spool then looks at rows, and what does look settles
// them first (``SpoolDatabase/perform(settling:_:_:)``).
extension SpoolStore {
    struct Removal {
        var lane: Lane
        var stream: StreamID
        var through: Int64
    }

    /// Takes note of the removal when it leaves the spool empty of all but a few small rows. False when it is to be made now.
    func putOffRemoval(_ removal: Removal) throws(SQLiteError) -> Bool {
        guard !isMemoryOnly, removals.count < SpoolLimits.removalCountMax,
            spooledByteCount <= SpoolLimits.removalByteCountMax, streams.values.reduce(0, { $0 + $1.count }) == 1,
            let usage = streams[removal.lane]?.first, usage.stream == removal.stream
        else { return false }
        let remaining = try remainingCount(removal)
        guard remaining == 0 else { return false }
        removals.append(removal)
        removalLookCount = 0
        streamEmptied(removal.lane, removal.stream)
        return true
    }

    private func remainingCount(_ removal: Removal) throws(SQLiteError) -> Int64 {
        var count: Int64 = 0
        try connection.query("SELECT count(*) FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence > ?3") {
            statement in
            statement.bind(1, removal.lane.rawValue)
            statement.bind(2, removal.stream.signed)
            statement.bind(3, removal.through)
        } row: { row in
            count = row.integer(0)
            return false
        }
        return count
    }

    /// Within a transaction: what was put off.
    func makeRemovals() throws(SQLiteError) {
        for removal in removals {
            try connection.run("DELETE FROM spool WHERE lane = ?1 AND stream = ?2 AND sequence <= ?3") { statement in
                statement.bind(1, removal.lane.rawValue)
                statement.bind(2, removal.stream.signed)
                statement.bind(3, removal.through)
            }
            try forgetSent(removal.lane, removal.stream)
        }
    }

    /// Before anything else looks at rows: makes what was put off, by a transaction of its own.
    func settleRemovals() throws(SQLiteError) {
        guard !removals.isEmpty, !isMemoryOnly else { return }
        try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Void> in .commit(()) }
    }

    /// Every ten seconds: removals that no transaction came for.
    func settleOldRemovals() throws(SQLiteError) {
        guard !removals.isEmpty else { return }
        removalLookCount += 1
        if removalLookCount >= SpoolLimits.removalLookCountMax { try settleRemovals() }
    }
}
