import LogModel
import Ports

/// What a machine's disk holds of the spool: what a process sees, and what a power cut leaves of it.
///
/// As SQLite's write-ahead log does it, a synced transaction takes all before it along, and what is not synced is lost from the
/// end; a run may also draw a disk that keeps any part.
struct SimulatedDisk {
    struct Row {
        var batch: SpooledBatch
        var hash: UInt64
        /// Order of arrival.
        var id: Int
    }

    enum Change {
        case insert(Row)
        case remove(Lane, StreamID, through: Int64)
        case setAside(Row)
        case keep(SourcePosition)
    }

    struct Contents {
        var rows: [Row] = []
        var deadLetters: [Row] = []
        /// Of replayable sources, with the lane whose batch each came with.
        var positions: [(position: SourcePosition, lane: Lane?)] = []

        mutating func apply(_ change: Change) {
            switch change {
            case .insert(let row):
                rows.append(row)
                keepPosition(of: row)
            case .keep(let position):
                positions.removeAll { $0.lane == nil }
                positions.append((position, nil))
            case .remove(let lane, let stream, let through):
                rows.removeAll {
                    $0.batch.lane == lane && $0.batch.stream == stream && $0.batch.sequence <= through
                }
            case .setAside(let row):
                deadLetters.append(row)
                keepPosition(of: row)
                rows.removeAll {
                    $0.batch.lane == row.batch.lane && $0.batch.stream == row.batch.stream
                        && $0.batch.sequence == row.batch.sequence
                }
            }
        }

        private mutating func keepPosition(of row: Row) {
            if let position = row.batch.batch.position { positions.append((position, row.batch.lane)) }
        }

        /// Batches that are somewhere in it.
        func hashes(of lane: Lane) -> Set<UInt64> {
            var hashes: Set<UInt64> = []
            for row in rows where row.batch.lane == lane { hashes.insert(row.hash) }
            for row in deadLetters where row.batch.lane == lane { hashes.insert(row.hash) }
            return hashes
        }
    }

    private(set) var now = Contents()
    private(set) var synced = Contents()
    private var unsynced: [Change] = []
    private var nextID = 1

    var isEmpty: Bool { now.rows.isEmpty }
    var unsyncedCount: Int { unsynced.count }

    mutating func newRow(_ batch: SpooledBatch, hash: UInt64) -> Row {
        defer { nextID += 1 }
        return Row(batch: batch, hash: hash, id: nextID)
    }

    mutating func change(_ change: Change, isSynced: Bool) {
        now.apply(change)
        unsynced.append(change)
        if isSynced { sync() }
    }

    mutating func sync() {
        synced = now
        unsynced = []
    }

    /// Records of a lane that a power cut may take.
    func unsyncedRecordCount(of lane: Lane) -> Int {
        let safe = synced.hashes(of: lane)
        return (now.rows + now.deadLetters).reduce(0) { sum, row in
            row.batch.lane == lane && !safe.contains(row.hash) ? sum + row.batch.batch.recordCount : sum
        }
    }

    /// The power goes.
    mutating func cut(keepsAnyPart: Bool, losesPositions: Bool, using generator: inout some RandomNumberGenerator) {
        let keptCount = Int.random(in: 0...unsynced.count, using: &generator)
        for (index, change) in unsynced.enumerated() {
            let isKept = keepsAnyPart ? Bool.random(using: &generator) : index < keptCount
            if isKept { synced.apply(change) }
        }
        if losesPositions { synced.positions = [] }
        now = synced
        unsynced = []
    }

    /// What the spool says at a start.
    func usage() -> [Lane: SpoolUsage] {
        var usage: [Lane: SpoolUsage] = [:]
        for row in now.rows {
            var lane = usage[row.batch.lane] ?? SpoolUsage()
            lane.batchCount += 1
            lane.recordCount += row.batch.batch.recordCount
            lane.byteCount += row.batch.batch.payload.count
            if !lane.streams.contains(row.batch.stream) { lane.streams.append(row.batch.stream) }
            usage[row.batch.lane] = lane
        }
        return usage
    }
}
