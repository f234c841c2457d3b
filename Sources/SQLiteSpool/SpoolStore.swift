internal import Delivery
internal import Glibc
internal import LogModel
internal import Ports
internal import SQLiteClient

/// The connection and what is known about the rows behind it. Touched only from the spool's thread.
///
/// Every method is one turn of that thread: it leaves no transaction open and the counters true, also when it throws.
final class SpoolStore {
    /// What is known of one stream's rows without reading them.
    struct StreamUsage {
        var stream: StreamID
        /// The row with the lowest sequence; its id is the stream's place in the order of draining.
        var headID: Int64
        var headSequence: Int64
        var batchCount: Int
        var recordCount: Int
        var byteCount: Int
    }

    let configuration: SpoolConfiguration
    private(set) var connection: Connection
    private(set) var status = SpoolStatus()
    /// Per lane, the stream to drain first standing first.
    private(set) var streams: [Lane: [StreamUsage]] = [:]
    /// Per lane and stream, what the table `spool_sent` says.
    private var sent: [Lane: [StreamID: Int64]] = [:]
    var compaction = Compaction()
    /// Rows that this process wrote while its clock was a guess; some may be gone.
    var guessedRows: [Int64] = []

    /// Rows that are gone but for their deletion, which the next transaction makes; and how often that was looked at.
    var removals: [Removal] = []
    var removalLookCount = 0

    /// Whether commits since the last sync are still only in the operating system's hands.
    private(set) var hasUnsyncedCommits = false
    /// Whether `meta.clean` says 0 already.
    private var isMarkedDirty = false
    private var synchronous: SynchronousMode?
    private var pagesCounted = 0
    private var pagesSinceCheckpoint = 0
    /// Dead letters that a lane of this process had set aside, and so counts. As many as there are at most: the file's 16 MiB
    /// of them bound it.
    var countedDeadLetters: Set<Int64> = []
    /// What lanes believe to be spooled, and a file holds that broke in use and could not be replaced at once.
    private var unreachable: [Lane: SpoolUsage] = [:]

    /// What a commit survives, in WAL mode (sqlite.org/pragma.html#pragma_synchronous).
    private enum SynchronousMode: String {
        /// The WAL is synced at every commit: this transaction and all before it survive a power cut.
        case full = "FULL"
        /// The WAL is handed to the operating system: the transaction survives the death of the process, and a power cut
        /// once the system wrote it back (some 30 s) or a checkpoint synced it. The file is never torn in either case.
        case normal = "NORMAL"
    }

    init(configuration: SpoolConfiguration) {
        self.configuration = configuration
        (connection, status.recovery) = SpoolFile.open(configuration)
        loadOrReplace()
    }

    var isMemoryOnly: Bool { status.recovery.isMemoryOnly }

    // MARK: Turns

    /// One write transaction. With `synced`, everything committed until now is on the disk when it returns.
    func write<Value>(
        synced: Bool,
        _ body: () throws(SQLiteError) -> Connection.Verdict<Value>
    ) throws(SQLiteError) -> Value {
        let mode = synced ? SynchronousMode.full : .normal
        if synchronous != mode {
            try connection.execute("PRAGMA synchronous=\(mode.rawValue)")
            synchronous = mode
        }
        var isCommitted = false
        var hasChanged = false
        let value = try connection.transaction { () throws(SQLiteError) -> Connection.Verdict<Value> in
            let before = connection.changesTotal
            if !isMemoryOnly { try makeRemovals() }
            let verdict = try body()
            guard case .commit = verdict else { return verdict }
            isCommitted = true
            hasChanged = connection.changesTotal != before
            if hasChanged && !isMarkedDirty {
                try note("clean", 0)
            } else if !hasChanged && synced && hasUnsyncedCommits {
                // A commit that changes nothing writes no frame and syncs nothing, so earlier commits would stay unsynced:
                // the case of a batch appended once more, now durably.
                try note("synced", status.syncCount)
                hasChanged = true
            }
            return verdict
        }
        if isCommitted, !isMemoryOnly { removals = [] }
        guard isCommitted && hasChanged else { return value }
        isMarkedDirty = true
        hasUnsyncedCommits = !synced
        status.commitCount += 1
        status.lastFailure = nil
        if synced { status.syncCount += 1 }
        return value
    }

    func note(_ key: String, _ value: Int) throws(SQLiteError) {
        try connection.run(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        ) { statement in
            statement.bind(1, key)
            statement.bind(2, value)
        }
    }

    /// After a write that failed, and with room on the disk: a small one, so that the failure is forgotten when it is over
    /// although nothing is to be written.
    func tryWriting() throws(SQLiteError) {
        guard status.lastFailure != nil, !isMemoryOnly, lookAtDisk()?.isLow != true else { return }
        try write(synced: true) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try note("synced", status.syncCount)
            return .commit(())
        }
    }

    /// The templates of the last process; `nil` when none were kept.
    func catalogue() throws(SQLiteError) -> [UInt8]? {
        var bytes: [UInt8]?
        try connection.query("SELECT value FROM meta WHERE key = 'catalogue'") { row in
            bytes = Array(row.bytes(0))
            return false
        }
        return bytes
    }

    func keep(catalogue bytes: [UInt8]) throws(SQLiteError) {
        try write(synced: false) { () throws(SQLiteError) -> Connection.Verdict<Void> in
            try connection.run(
                "INSERT INTO meta (key, value) VALUES ('catalogue', ?1) "
                    + "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
            ) { statement in
                bytes.withUnsafeBufferPointer { statement.bind(1, blob: $0) }
            }
            return .commit(())
        }
    }

    /// Work nobody waits for, after the answers were given: a checkpoint when the WAL has grown.
    func housekeep() {
        countPages()
        guard pagesSinceCheckpoint >= SpoolLimits.checkpointPageCount, !isMemoryOnly else { return }
        // A failure (disk full, a reader in the way) costs nothing but a longer WAL; the next turn tries again.
        guard let copied = try? connection.checkpoint(truncating: false) else { return }
        status.bytesWritten += min(copied, pagesSinceCheckpoint) * Self.pageByteCount
        pagesSinceCheckpoint = 0
    }

    /// Empties the WAL into the file, and syncs both.
    func checkpointAll() {
        countPages()
        guard !isMemoryOnly, (try? connection.checkpoint(truncating: true)) != nil else { return }
        status.bytesWritten += pagesSinceCheckpoint * Self.pageByteCount
        pagesSinceCheckpoint = 0
    }

    /// SQLite's default; a page in the WAL has 24 bytes more.
    private static let pageByteCount = 4096

    private func countPages() {
        let count = connection.pagesWritten
        pagesSinceCheckpoint += count - pagesCounted
        if !isMemoryOnly { status.bytesWritten += (count - pagesCounted) * (Self.pageByteCount + 24) }
        pagesCounted = count
    }

    /// Brings the figures up to date that are looked up rather than counted.
    func refreshStatus() {
        status.usage = usage
        status.fileByteCount = 0
        lookAtDisk()
        guard !isMemoryOnly else { return }
        for suffix in ["", "-wal"] {
            var information = stat()
            if stat(SpoolFile.path(in: configuration.directory) + suffix, &information) == 0 {
                status.fileByteCount += Int(information.st_size)
            }
        }
    }

    private var usage: [Lane: SpoolUsage] {
        var usages: [Lane: SpoolUsage] = [:]
        for lane in Lane.allCases {
            var usage = SpoolUsage()
            for stream in streams[lane] ?? [] {
                usage.batchCount += stream.batchCount
                usage.recordCount += stream.recordCount
                usage.byteCount += stream.byteCount
                usage.streams.append(stream.stream)
            }
            usages[lane] = usage
        }
        return usages
    }

    /// Asks the file system anew; one call a transaction costs nothing beside its sync.
    @discardableResult
    func lookAtDisk() -> DiskSpace? {
        status.diskSpace = isMemoryOnly ? nil : configuration.diskSpace(configuration.directory)
        return status.diskSpace
    }

    /// For `/health` and `/metrics`. What a batch is to blame for, and the spool's own bound, are told elsewhere.
    func note(_ failure: SinkError) {
        if failure.code == Self.diskLow.code || failure.code == ResultCode.full.name { status.diskRefusalCount += 1 }
        guard failure.failureClass != .poison, failure.code != Self.spoolFullCode else { return }
        status.lastFailure = failure.description
    }

    /// The code of the answer at the spool's own bound.
    static let spoolFullCode = "SPOOL_FULL"

    /// The answer to what would take the last free space.
    static let diskLow = SinkError(
        .transient,
        code: "DISK_LOW",
        "write to \(SpoolFile.name): the file system has too little free space"
    )

    /// Everything to disk, the file marked as closed in order. The store is not used afterwards.
    func close() {
        if isMarkedDirty || !removals.isEmpty, !isMemoryOnly {
            // Should it fail, the next start checks the file: nothing is lost but its time.
            _ = try? write(synced: true) { () throws(SQLiteError) -> Connection.Verdict<Void> in
                try note("clean", 1)
                return .commit(())
            }
            checkpointAll()
        }
        connection.close()
    }

    // MARK: Damage

    /// Sets the file aside after it turned out broken in use, and goes on with a new one that holds what could be read.
    func replaceDamaged(_ error: SQLiteError) {
        status.damageCount += 1
        let known = usage
        connection.close()
        (connection, status.recovery) = SpoolFile.open(configuration, damage: error.description)
        forgetConnection()
        do throws(SQLiteError) {
            // The new file has them again.
            try settleRemovals()
            try load()
        } catch { streams = [:] }
        if isMemoryOnly { unreachable = known }
    }

    /// Throws for a lane whose batches are in a file that is out of reach: "nothing there" would be taken for lost.
    func checkIsReachable(_ lane: Lane) throws(SQLiteError) {
        guard isMemoryOnly, firstStream(of: lane) == nil, unreachable[lane]?.batchCount ?? 0 > 0 else { return }
        throw SQLiteError(attempt: "read the spool, whose file cannot be used", code: .cannotOpen)
    }

    // MARK: Back from memory

    /// While there is only memory: tries the file again and moves what memory holds into it, in one synced transaction. Gives
    /// by how much the file held more (or less) than lanes believe; `nil` when there is still no file.
    func returnToFile() -> [Lane: SpoolUsage]? {
        guard isMemoryOnly else { return nil }
        let found: (connection: Connection, recovery: SpoolRecovery)
        do throws(SpoolFile.Unusable) {
            found = try SpoolFile.openFile(configuration)
        } catch {
            status.recovery = .memoryOnly(reason: error.reason)
            return nil
        }
        let (memory, reason) = (connection, status.recovery)
        (connection, status.recovery) = found
        forgetConnection()
        do throws(SQLiteError) {
            try settleRemovals()
            try load()
            var difference = usage
            for (lane, believed) in unreachable {
                difference[lane]?.batchCount -= believed.batchCount
                difference[lane]?.recordCount -= believed.recordCount
            }
            try write(synced: true) { () throws(SQLiteError) -> Connection.Verdict<Void> in
                .commit(try SpoolSalvage.add(memory, to: connection))
            }
            try load()
            memory.close()
            unreachable = [:]
            return difference
        } catch {
            connection.close()
            (connection, status.recovery) = (memory, reason)
            status.lastFailure = error.description
            forgetConnection()
            do throws(SQLiteError) { try load() } catch { streams = [:] }
            return nil
        }
    }

    private func loadOrReplace() {
        do throws(SQLiteError) {
            try load()
        } catch {
            replaceDamaged(error)
            status.damageCount = 0
            // No lane knows of anything yet.
            unreachable = [:]
        }
    }

    private func forgetConnection() {
        countedDeadLetters = []
        // Their numbers may name other rows in another file.
        guessedRows = []
        compaction = Compaction(isScheduled: compaction.isScheduled)
        synchronous = nil
        isMarkedDirty = false
        hasUnsyncedCommits = false
        pagesCounted = 0
        pagesSinceCheckpoint = 0
    }

    // MARK: Counting

    /// Counts the rows anew: one pass over the table without its payloads' overflow pages. A crash before the last close
    /// left `hasUnsyncedCommits` unknown, so it is taken as true.
    func load() throws(SQLiteError) {
        hasUnsyncedCommits = try connection.integer("SELECT count(*) FROM meta WHERE key='clean' AND value=0") != 0
        var found: [Lane: [StreamUsage]] = [:]
        var isSound = true
        try connection.query(
            """
            SELECT lane, stream, min(sequence), count(*), sum(record_count), sum(byte_count), min(record_count),
                   min(byte_count)
            FROM spool GROUP BY lane, stream
            """
        ) { row in
            // A lane that a later version knows is left alone.
            guard let lane = Lane(rawValue: row.text(0)) else { return true }
            let usage = StreamUsage(
                stream: StreamID(rawValue: UInt64(bitPattern: row.integer(1))),
                headID: 0,
                headSequence: row.integer(2),
                batchCount: Int(row.integer(3)),
                recordCount: Int(row.integer(4)),
                byteCount: Int(row.integer(5))
            )
            // Damaged columns must not overflow the sums that are made of them.
            isSound =
                isSound && row.integer(6) >= 0 && row.integer(7) >= 0 && usage.recordCount < 1 << 50
                && usage.byteCount < 1 << 42
            found[lane, default: []].append(usage)
            return true
        }
        guard isSound else { throw SQLiteError(attempt: "count the spool", code: .corrupt) }
        for (lane, usages) in found {
            for (index, usage) in usages.enumerated() {
                found[lane]?[index].headID = try headRow(lane, usage.stream)?.id ?? 0
            }
            found[lane]?.sort { $0.headID < $1.headID }
        }
        streams = found
        try loadSent()
        try loadDeadLetters()
    }

    private func loadSent() throws(SQLiteError) {
        sent = [:]
        try connection.query("SELECT lane, stream, through FROM spool_sent") { row in
            guard let lane = Lane(rawValue: row.text(0)) else { return true }
            sent[lane, default: [:]][StreamID(rawValue: UInt64(bitPattern: row.integer(1)))] = row.integer(2)
            return true
        }
    }

    /// Up to where the stream's batches may have been sent; 0 when none was.
    func sentThrough(_ lane: Lane, _ stream: StreamID) -> Int64 { sent[lane]?[stream] ?? 0 }

    func sentThrough(_ lane: Lane, _ stream: StreamID, _ sequence: Int64) {
        sent[lane, default: [:]][stream] = max(sentThrough(lane, stream), sequence)
    }

    func noLongerSent(_ lane: Lane, _ stream: StreamID) { sent[lane]?[stream] = nil }

    /// Some rows of a stream, the first of them with `id`, became one.
    func rowsMerged(
        _ lane: Lane,
        _ stream: StreamID,
        removedCount: Int,
        byteCountChange: Int
    ) throws(SQLiteError) {
        guard let index = streams[lane]?.firstIndex(where: { $0.stream == stream }) else { return }
        streams[lane]?[index].batchCount -= removedCount
        streams[lane]?[index].byteCount += byteCountChange
        if let head = try headRow(lane, stream) {
            streams[lane]?[index].headID = head.id
            streams[lane]?[index].headSequence = head.sequence
        }
    }

    func loadDeadLetters() throws(SQLiteError) {
        try connection.query("SELECT count(*), sum(record_count), sum(byte_count) FROM dead_letters") { row in
            status.deadLetterCount = Int(row.integer(0))
            status.deadLetterRecordCount = Int(row.integer(1))
            status.deadLetterByteCount = Int(row.integer(2))
            return false
        }
    }

    private func headRow(_ lane: Lane, _ stream: StreamID) throws(SQLiteError) -> (id: Int64, sequence: Int64)? {
        var head: (id: Int64, sequence: Int64)?
        try connection.query(
            "SELECT id, sequence FROM spool WHERE lane = ?1 AND stream = ?2 ORDER BY sequence LIMIT 1"
        ) { statement in
            statement.bind(1, lane.rawValue)
            statement.bind(2, stream.signed)
        } row: { row in
            head = (row.integer(0), row.integer(1))
            return false
        }
        return head
    }

    /// What counts against the configured bound.
    var spooledByteCount: Int {
        var count = 0
        for usages in streams.values {
            for usage in usages {
                count += usage.byteCount + usage.batchCount * SpoolLimits.rowOverheadByteCount
            }
        }
        return count
    }

    /// The stream of `lane` whose head row is the oldest.
    func firstStream(of lane: Lane) -> StreamID? { streams[lane]?.first?.stream }

    func rowAdded(_ batch: SpooledBatch, id: Int64, byteCount: Int) {
        var usages = streams[batch.lane] ?? []
        let index =
            usages.firstIndex { $0.stream == batch.stream }
            ?? {
                usages.append(
                    StreamUsage(
                        stream: batch.stream,
                        headID: id,
                        headSequence: batch.sequence,
                        batchCount: 0,
                        recordCount: 0,
                        byteCount: 0
                    )
                )
                return usages.count - 1
            }()
        let isLast = usages[index].batchCount == 0 && index > 0 && usages[index - 1].headID < id
        usages[index].batchCount += 1
        usages[index].recordCount += batch.batch.recordCount
        usages[index].byteCount += byteCount
        if batch.sequence < usages[index].headSequence {
            usages[index].headSequence = batch.sequence
            usages[index].headID = id
        }
        // A new stream stands last already; there are as many as requests with a key came during an outage.
        if !isLast { usages.sort { $0.headID < $1.headID } }
        streams[batch.lane] = usages
    }

    func rowsRemoved(
        lane: Lane,
        stream: StreamID,
        batchCount: Int,
        recordCount: Int,
        byteCount: Int
    ) throws(SQLiteError) {
        guard batchCount > 0 || recordCount != 0 || byteCount != 0,
            let index = streams[lane]?.firstIndex(where: { $0.stream == stream })
        else { return }
        guard let head = try headRow(lane, stream) else {
            streams[lane]?.remove(at: index)
            noLongerSent(lane, stream)
            return
        }
        streams[lane]?[index].batchCount -= batchCount
        streams[lane]?[index].recordCount -= recordCount
        streams[lane]?[index].byteCount -= byteCount
        streams[lane]?[index].headID = head.id
        streams[lane]?[index].headSequence = head.sequence
        streams[lane]?.sort { $0.headID < $1.headID }
    }

    /// The one stream of its lane has no rows any more, or none that count.
    func streamEmptied(_ lane: Lane, _ stream: StreamID) {
        streams[lane]?.removeAll { $0.stream == stream }
        noLongerSent(lane, stream)
    }

    func deadLetterAdded(recordCount: Int, byteCount: Int) {
        status.deadLetterCount += 1
        status.deadLetterRecordCount += recordCount
        status.deadLetterByteCount += byteCount
    }

    func deadLetterRemoved(_ id: Int64, recordCount: Int, byteCount: Int) {
        countedDeadLetters.remove(id)
        status.deadLetterCount -= 1
        status.deadLetterRecordCount -= recordCount
        status.deadLetterByteCount -= byteCount
    }

    func deadLettersDropped(_ count: Int) throws(SQLiteError) {
        status.deadLetterDropCount += count
        try loadDeadLetters()
    }

    func batchesMerged(_ count: Int, into window: Duration) {
        status.mergedBatchCount += count
        status.longestWindow = max(status.longestWindow, window)
    }

    func batchReduced() { status.reducedBatchCount += 1 }

    func retentionDeleted(_ count: Int) { status.retentionRowCount += count }
}
