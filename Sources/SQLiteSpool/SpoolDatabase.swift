internal import BlockingExecutor
package import Delivery
package import LogModel
package import Ports
internal import SQLiteClient

/// The one owner of `<state directory>/logboom.db`: the spool of every lane, the dead letters, and the embedded store.
///
/// Every call is carried out in order on the thread `spool`, which alone touches SQLite; completions are called there.
/// ``status`` may be read from anywhere. Opening never fails (promise "always starts"): see ``SpoolRecovery``.
package final class SpoolDatabase: Spool {
    private struct Append: Sendable {
        var batch: SpooledBatch
        var isDurable: Bool
        var completion: @Sendable (Result<Void, SinkError>) -> Void
    }

    /// Appends that will share a transaction: taken whole when the thread comes to it.
    private final class AppendGroup: Sendable {
        let appends = Locked<[Append]>([])
    }

    /// Gives blocks access to the store, which is not Sendable.
    private struct Confined: @unchecked Sendable {
        // @unchecked: made before the thread has any block, then touched only by blocks on that one thread.
        let store: SpoolStore
    }

    private let confined: Confined
    private let thread: BlockingThread
    private let published: Locked<SpoolStatus>
    /// The group that further appends join; `nil` once another call came after it, so that order is kept.
    private let openGroup = Locked<AppendGroup?>(nil)

    /// Opens the file, mending or replacing it when it has to. Blocks, normally for some milliseconds, at most for about two
    /// seconds.
    package init(_ configuration: SpoolConfiguration) {
        let store = SpoolStore(configuration: configuration)
        store.refreshStatus()
        published = Locked(store.status)
        confined = Confined(store: store)
        thread = BlockingThread(name: "spool")
    }

    deinit {
        thread.close()
    }

    /// Counters and gauges after the last finished call.
    package var status: SpoolStatus { published.withLock { $0 } }

    /// Where the file is.
    package var path: String { SpoolFile.path(in: confined.store.configuration.directory) }

    // MARK: Spool

    package func append(
        _ batch: SpooledBatch,
        durable: Bool,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        let append = Append(batch: batch, isDurable: durable, completion: completion)
        openGroup.withLock { open in
            if let group = open {
                group.appends.withLock { $0.append(append) }
                return
            }
            let group = AppendGroup()
            group.appends.withLock { $0.append(append) }
            open = group
            thread.perform { [self] in commit(group) }
        }
    }

    private func commit(_ group: AppendGroup) {
        let appends = openGroup.withLock { open in
            if open === group { open = nil }
            return group.appends.withLock { $0 }
        }
        let answers = confined.store.append(appends.map { ($0.batch, $0.isDurable) })
        for case .failure(let error) in answers { confined.store.note(error) }
        publish()
        for (append, answer) in zip(appends, answers) { append.completion(answer) }
        confined.store.housekeep()
        compactIfDue()
    }

    /// Makes the spool coarser while it is nearly full, a portion a turn: other calls have theirs in between.
    private func compactIfDue() {
        let store = confined.store
        guard store.isCompactionDue, !store.compaction.isScheduled else { return }
        store.compaction.isScheduled = true
        perform { [self] (result: Result<Bool, SinkError>) in
            confined.store.compaction.isScheduled = false
            if case .success(true) = result { compactIfDue() }
        } _: { store throws(SQLiteError) in
            .success(try store.compactIfNearlyFull())
        }
    }

    package func head(
        of lane: Lane,
        byteCountMax: Int,
        completion: @escaping @Sendable (Result<SpoolHead?, SinkError>) -> Void
    ) {
        perform(completion) { store throws(SQLiteError) in
            try store.checkIsReachable(lane)
            return .success(try store.head(of: lane, byteCountMax: byteCountMax))
        }
    }

    package func remove(
        lane: Lane,
        stream: StreamID,
        through sequence: Int64,
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        perform(settling: false, completion) { store throws(SQLiteError) in
            .success(try store.remove(lane: lane, stream: stream, through: sequence))
        }
        giveSpaceBack()
    }

    package func setAside(
        _ batches: [SetAsideBatch],
        completion: @escaping @Sendable (Result<Void, SinkError>) -> Void
    ) {
        perform(completion) { store throws(SQLiteError) in .success(try store.setAside(batches)) }
    }

    package func replay(
        deadLetter id: Int64,
        of lane: Lane,
        as name: (stream: StreamID, sequence: Int64),
        completion: @escaping @Sendable (Result<Replay, SinkError>) -> Void
    ) {
        perform(completion) { store throws(SQLiteError) in try store.replay(deadLetter: id, of: lane, as: name) }
    }

    package func correctStamps(_ correction: ClockWatch.Correction) {
        // Should it fail, the rows stay marked as guessed.
        perform({ (_: Result<Void, SinkError>) in }) { store throws(SQLiteError) in
            .success(try store.correctStamps(correction))
        }
    }

    package func syncedUsage(completion: @escaping @Sendable (Result<[Lane: SpoolUsage], SinkError>) -> Void) {
        perform(completion) { store throws(SQLiteError) in
            if store.hasUnsyncedCommits {
                try store.write(synced: true) { () throws(SQLiteError) -> Connection.Verdict<Void> in .commit(()) }
            }
            store.checkpointAll()
            store.refreshStatus()
            return .success(store.status.usage)
        }
    }

    // MARK: Embedded store

    func apply(
        _ span: BatchSpan,
        _ batches: [Batch],
        completion: @escaping @Sendable (Result<SinkAnswer, SinkError>) -> Void
    ) {
        perform(settling: false, completion) { store throws(SQLiteError) in
            if store.lookAtDisk()?.isVeryLow ?? false {
                store.note(SpoolStore.diskLow)
                return .failure(SpoolStore.diskLow)
            }
            return try store.apply(span, batches)
        }
    }

    func forgetStreams(except live: [StreamID]) {
        // Rows of dead streams are a few bytes each and are tried again at the next start.
        perform({ (_: Result<Void, SinkError>) in }) { store throws(SQLiteError) in
            .success(try store.forgetStreams(except: live))
        }
    }

    // MARK: Catalogue

    /// The templates that the last process knew; `nil` when it kept none.
    package func catalogue(completion: @escaping @Sendable (Result<[UInt8]?, SinkError>) -> Void) {
        perform(settling: false, completion) { store throws(SQLiteError) in .success(try store.catalogue()) }
    }

    /// Keeps the templates for the next process. Not synced: what a power cut takes is learned again.
    package func keep(catalogue bytes: [UInt8], completion: @escaping @Sendable (Result<Void, SinkError>) -> Void) {
        perform(settling: false, completion) { store throws(SQLiteError) in .success(try store.keep(catalogue: bytes)) }
    }

    // MARK: Retention

    /// Deletes patterns of the embedded store last seen more than `age` before `now`, then the oldest beyond `byteCountMax`
    /// bytes of file (the spool's not counted), in portions between which other calls have their turn. Answers with the
    /// number of rows deleted.
    package func applyRetention(
        age: Duration,
        byteCountMax: Int,
        now: Timestamp,
        completion: @escaping @Sendable (Result<Int, SinkError>) -> Void
    ) {
        retain(age: age, byteCountMax: byteCountMax, now: now, deletedCount: 0, completion: completion)
    }

    private func retain(
        age: Duration,
        byteCountMax: Int,
        now: Timestamp,
        deletedCount: Int,
        completion: @escaping @Sendable (Result<Int, SinkError>) -> Void
    ) {
        perform { [self] result in
            switch result {
            case .failure(let error):
                completion(.failure(error))
            case .success(0):
                completion(.success(deletedCount))
                giveSpaceBack()
            case .success(let count):
                retain(
                    age: age,
                    byteCountMax: byteCountMax,
                    now: now,
                    deletedCount: deletedCount + count,
                    completion: completion
                )
            }
        } _: { store throws(SQLiteError) in
            .success(try store.deleteOldPatterns(age: age, byteCountMax: byteCountMax, now: now))
        }
    }

    /// Gives free pages back to the file system in small steps, once no more than a few rows are left to reuse them.
    private func giveSpaceBack() {
        perform(settling: false) { [self] (result: Result<Bool, SinkError>) in
            if case .success(true) = result { giveSpaceBack() }
        } _: { store throws(SQLiteError) in
            .success(try store.vacuumStep())
        }
    }

    /// Questions asked while there is no file for a second connection.
    func read<Value: Sendable>(
        _ completion: @escaping @Sendable (Result<Value, SinkError>) -> Void,
        _ body: @escaping @Sendable (Connection) throws(SQLiteError) -> Value
    ) {
        perform(completion) { store throws(SQLiteError) in .success(try body(store.connection)) }
    }

    /// Looks at what only time brings: the free space on the disk and, while there is only memory, whether the file can be used
    /// again; then what memory holds moves into it. To be called every ten seconds or so. Writes nothing in the ordinary case;
    /// after a failed write it tries another.
    ///
    /// Answers `nil`, or, when the file is back, by how much it holds more (or less, when some of it could not be read) than
    /// lanes believe. The figures are differences: counts only, no streams.
    package func look(completion: @escaping @Sendable ([Lane: SpoolUsage]?) -> Void) {
        perform(settling: false) { (result: Result<[Lane: SpoolUsage]?, SinkError>) in
            completion((try? result.get()) ?? nil)
        } _: { store throws(SQLiteError) in
            try store.settleOldRemovals()
            try store.tryWriting()
            return .success(store.returnToFile())
        }
    }

    /// Bounds the file at so many pages of 4,096 bytes, which is how a full disk looks to SQLite (`SQLITE_FULL`); a bound below
    /// the present size counts as the present size.
    package func limitFile(pageCount: Int, completion: @escaping @Sendable (Result<Void, SinkError>) -> Void) {
        perform(completion) { store throws(SQLiteError) in
            .success(try store.connection.execute("PRAGMA max_page_count=\(pageCount)"))
        }
    }

    /// Syncs everything, marks the file as closed in order, closes it and ends the thread. Calls made afterwards are never
    /// answered.
    package func close(completion: @escaping @Sendable () -> Void) {
        openGroup.withLock { open in
            open = nil
            thread.perform { [confined] in
                confined.store.close()
                completion()
            }
            thread.close()
        }
    }

    // MARK: The thread

    /// `settling`: rows are looked at, so that those which are gone have to be so.
    func perform<Value: Sendable>(
        settling: Bool = true,
        _ completion: @escaping @Sendable (Result<Value, SinkError>) -> Void,
        _ body: @escaping @Sendable (SpoolStore) throws(SQLiteError) -> Result<Value, SinkError>
    ) {
        openGroup.withLock { open in
            open = nil
            thread.perform { [self] in
                let result: Result<Value, SinkError>
                do throws(SQLiteError) {
                    if settling { try confined.store.settleRemovals() }
                    result = try body(confined.store)
                } catch {
                    if error.isDamage { confined.store.replaceDamaged(error) }
                    let failure = SinkError(error)
                    confined.store.note(failure)
                    result = .failure(failure)
                }
                publish()
                completion(result)
                confined.store.housekeep()
            }
        }
    }

    private func publish() {
        confined.store.refreshStatus()
        published.withLock { $0 = confined.store.status }
    }
}

extension SpoolDatabase: DeadLetterBox {
    package func deadLetters(
        after id: Int64,
        limit: Int,
        completion: @escaping @Sendable (Result<[DeadLetter], SinkError>) -> Void
    ) {
        perform(completion) { store throws(SQLiteError) in .success(try store.deadLetters(after: id, limit: limit)) }
    }

    package func deadLetter(_ id: Int64, completion: @escaping @Sendable (Result<DeadLetter?, SinkError>) -> Void) {
        perform(completion) { store throws(SQLiteError) in .success(try store.deadLetter(id)) }
    }

    package func dropDeadLetter(
        _ id: Int64,
        completion: @escaping @Sendable (Result<DeadLetter?, SinkError>) -> Void
    ) {
        perform(completion) { store throws(SQLiteError) in .success(try store.dropDeadLetter(id)) }
    }
}

extension SpoolDatabase: Pingable {
    package var threadName: String { "spool" }
    /// A commit on a slow card takes seconds; a minute means that it hangs.
    package var silenceMax: Duration { .seconds(60) }

    package func ping(_ answer: @escaping @Sendable () -> Void) {
        thread.perform(answer)
    }
}
