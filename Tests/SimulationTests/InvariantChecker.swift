import Delivery
import LogModel
import Pipeline
import Ports

/// A batch as the checker tells it from others: the hash of its bytes, which hold unique sources and stamps.
struct BatchContent: Sendable {
    var hash: UInt64
    var recordCount: Int
    /// Records by pattern, level and source; those of the journal are in ``entries``.
    var counts: [String: Int]
    /// Records of the journal by their source, of which each entry has its own.
    var entries: [String: Int] = [:]

    init(_ batch: Batch) {
        hash = batch.payload.withUnsafeBufferPointer { XXH64.hash($0) }
        recordCount = batch.recordCount
        var counts: [String: Int] = [:]
        var entries: [String: Int] = [:]
        do throws(BatchFormatError) {
            try BatchReader.forEachSeries(in: batch) { _, series in
                if series.source.first == UInt8(ascii: "j") {
                    entries[String(decoding: series.source, as: UTF8.self), default: 0] += series.count
                } else {
                    counts[Self.key(series.template, series.severity, series.source), default: 0] += series.count
                }
            }
        } catch {
            counts["unreadable: \(error)"] = batch.recordCount
        }
        self.counts = counts
        self.entries = entries
    }

    static func key(_ template: ByteView, _ severity: Severity, _ source: ByteView) -> String {
        var bytes = Array(template)
        bytes.append(0x7C)
        bytes.append(severity.rawValue)
        bytes.append(0x7C)
        bytes.append(contentsOf: source)
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Keeps the books of a run beside the program's own, and holds the two together: the six invariants of ARCHITECTURE.md.
///
/// What is *owed* to a lane is every accepted record, less those that a process took with it when it ended: the checker works
/// those out from what the sink, the disk and the dead letters hold at that moment, and they may only be records that nobody
/// was told were durable.
struct InvariantChecker {
    /// What one lane's sink should hold, and holds.
    private struct Ledger {
        var owed: [String: Int] = [:]
        var contents: [UInt64: BatchContent] = [:]
        var hashesByKey: [String: [UInt64]] = [:]
        var applied: [String: Int] = [:]
        var appliedHashes: Set<UInt64> = []
        /// Was in memory when a process ended, and is nowhere: a request under way may still bring it.
        var forgotten: Set<UInt64> = []
        /// Records acknowledged as durable.
        var promised: [String: Int] = [:]
        /// The batch that goes by this name.
        var named: [StreamID: [Int64: UInt64]] = [:]
        /// How often each entry of the journal was counted.
        var entries: [String: Int] = [:]
        /// The highest sequence sent of each stream.
        var sentThrough: [StreamID: Int64] = [:]
    }

    private(set) var violations: [String] = []
    private var ledgers: [Lane: Ledger] = [:]
    private(set) var acceptedCount = 0
    private(set) var durableAnswerCount = 0
    private(set) var mostUsedShare = 0.0

    init(lanes: [Lane]) {
        for lane in lanes { ledgers[lane] = Ledger() }
    }

    mutating func fail(_ invariant: String, _ what: String) {
        // One fault shows in many ways; the first ones tell it.
        if violations.count < 5 { violations.append("\(invariant): \(what)") }
    }

    // MARK: The intake

    mutating func accepted(_ key: String, count: Int) {
        acceptedCount += count
        for lane in Lane.allCases { ledgers[lane]?.owed[key, default: 0] += count }
    }

    /// Everything accepted so far and not lost with an earlier process: what a flush promises.
    func owed() -> [Lane: [String: Int]] { ledgers.mapValues(\.owed) }

    /// I4: an answer said "durable". Every lane must hold these records at its sink, in a synced row, or set aside.
    mutating func answeredDurable(_ counts: [String: Int], synced: (Lane) -> Set<UInt64>) {
        durableAnswerCount += 1
        for lane in Lane.allCases where ledgers[lane] != nil {
            let safe = synced(lane)
            for (key, count) in counts {
                ledgers[lane]?.promised[key, default: 0] += count
                checkPromise("a request was answered", key, lane, safe)
            }
        }
    }

    /// I4 for a flush: all that was owed when it was asked for.
    mutating func answeredFlushed(_ owed: [Lane: [String: Int]], synced: (Lane) -> Set<UInt64>) {
        durableAnswerCount += 1
        for lane in Lane.allCases {
            guard let counts = owed[lane], ledgers[lane] != nil else { continue }
            let safe = synced(lane)
            for (key, count) in counts where count > ledgers[lane]?.promised[key] ?? 0 {
                ledgers[lane]?.promised[key] = count
                checkPromise("a flush was answered", key, lane, safe)
            }
        }
    }

    private mutating func checkPromise(
        _ answer: StaticString,
        _ key: String,
        _ lane: Lane,
        _ safe: Set<UInt64>
    ) {
        guard let ledger = ledgers[lane] else { return }
        let held = Self.held(key, in: ledger, safe: safe)
        let promised = ledger.promised[key] ?? 0
        if held < promised {
            fail(
                "I4",
                "lane \(lane): \(answer) durable for \(promised) records of \(key), \(held) are safe\(places(key, lane))"
            )
        }
    }

    private static func held(_ key: String, in ledger: Ledger, safe: Set<UInt64>) -> Int {
        var held = 0
        for hash in ledger.hashesByKey[key] ?? []
        where ledger.appliedHashes.contains(hash) || safe.contains(hash) {
            held += ledger.contents[hash]?.counts[key] ?? 0
        }
        return held
    }

    /// The names of the batches that hold a key, for a message.
    private func places(_ key: String, _ lane: Lane) -> String {
        guard let ledger = ledgers[lane] else { return "" }
        let hashes = ledger.hashesByKey[key] ?? []
        var names: [String] = []
        for (stream, batches) in ledger.named {
            for (sequence, hash) in batches where hashes.contains(hash) {
                names.append("\(stream.text)/\(sequence)\(ledger.appliedHashes.contains(hash) ? " applied" : "")")
            }
        }
        return names.isEmpty ? "; it has no name yet" : "; known as \(names.sorted().prefix(8))"
    }

    // MARK: Batches on their way

    /// A lane hands out a batch under this name: to its sink or to the spool. The name means these bytes for ever.
    mutating func named(_ lane: Lane, _ stream: StreamID, _ sequence: Int64, _ batch: Batch) {
        let content = learn(lane, batch)
        let known = ledgers[lane]?.named[stream]?[sequence]
        // A stretch of the journal that is read again has its name and its entries, and other bytes; an empty one takes a name.
        let isStretch = !content.entries.isEmpty || content.recordCount == 0
        if let known, known != content.hash, !isStretch {
            fail("I5", "lane \(lane): \(stream.text)/\(sequence) names two batches")
        }
        ledgers[lane]?.named[stream, default: [:]][sequence] = content.hash
    }

    @discardableResult
    private mutating func learn(_ lane: Lane, _ batch: Batch) -> BatchContent {
        let content = BatchContent(batch)
        if ledgers[lane]?.contents.updateValue(content, forKey: content.hash) == nil {
            for key in content.counts.keys { ledgers[lane]?.hashesByKey[key, default: []].append(content.hash) }
        }
        return content
    }

    /// I3: a stream's batches go out in order, one span at a time; a name sent before may be sent again.
    mutating func sent(_ lane: Lane, _ span: BatchSpan, _ batches: [Batch]) {
        if Int64(batches.count) > span.last - span.previous {
            fail("I3", "lane \(lane): more batches than names in a span")
        }
        let through = ledgers[lane]?.sentThrough[span.stream] ?? 0
        var sequence = span.last - Int64(batches.count)
        for batch in batches {
            sequence += 1
            let isKnown = ledgers[lane]?.named[span.stream]?[sequence] != nil
            if sequence <= through && !isKnown {
                fail("I3", "lane \(lane): \(span.stream.text)/\(sequence) is sent after \(through)")
            }
            named(lane, span.stream, sequence, batch)
        }
        ledgers[lane]?.sentThrough[span.stream] = max(through, span.last)
    }

    /// The sink committed this batch. I5: once.
    mutating func applied(_ lane: Lane, _ batch: Batch) {
        guard batch.recordCount > 0 else { return }
        let content = learn(lane, batch)
        for (entry, count) in content.entries {
            ledgers[lane]?.entries[entry, default: 0] += count
            if ledgers[lane]?.entries[entry] ?? 0 > 1 {
                fail("I5", "lane \(lane): journal entry \(entry) is counted twice")
            }
        }
        if ledgers[lane]?.appliedHashes.insert(content.hash).inserted == false {
            fail("I5", "lane \(lane): a batch of \(content.recordCount) records was applied twice")
        }
        for (key, count) in content.counts { ledgers[lane]?.applied[key, default: 0] += count }
        if ledgers[lane]?.forgotten.remove(content.hash) != nil {
            for (key, count) in content.counts { ledgers[lane]?.owed[key, default: 0] += count }
        }
    }

    // MARK: The end of a process

    /// A process is gone, and with it what only its memory held: at most `lostMax` records a lane. `surviving` says which
    /// batches the disk holds, dead letters included.
    mutating func processEnded(_ how: Faults.End, lostMax: [Lane: Int], surviving: (Lane) -> Set<UInt64>) {
        for lane in Lane.allCases {
            guard let ledger = ledgers[lane] else { continue }
            let safe = surviving(lane)
            var lost = 0
            for (key, count) in ledger.owed {
                let held = Self.held(key, in: ledger, safe: safe)
                let promised = ledger.promised[key] ?? 0
                if held < promised {
                    fail(
                        "I4",
                        "lane \(lane): \(how) lost \(promised - held) of \(promised) promised records of \(key)\(places(key, lane))"
                    )
                }
                if held > count {
                    fail("I5", "lane \(lane): \(held) records of \(key) are held, \(count) were accepted")
                }
                lost += count - held
                ledgers[lane]?.owed[key] = held
            }
            if lost > lostMax[lane] ?? 0 {
                fail(
                    "I5",
                    "lane \(lane): \(how) lost \(lost) records, \(lostMax[lane] ?? 0) were announced as in flight"
                )
            }
            for hash in ledger.contents.keys where !ledger.appliedHashes.contains(hash) && !safe.contains(hash) {
                ledgers[lane]?.forgotten.insert(hash)
            }
        }
    }

    // MARK: After each step

    /// I1 and I2, from the figures that `/stats` shows.
    mutating func stepped(_ collector: Collector, found: [Lane: Int], requestByteCountMax: Int) {
        for runner in collector.lanes {
            let counts = runner.lane.counts
            let placed = counts.delivered + counts.spooled + counts.deadLettered + counts.inMemory
            let sum = placed + collector.openRecordCount
            let reread = collector.counters.reread[runner.id] ?? 0
            let accepted = collector.counters.accepted + (found[runner.id] ?? 0) + reread
            if sum != accepted { fail("I1", "lane \(runner.id): accepted \(accepted), accounted for \(sum)") }
            if counts.spooled < 0 || counts.inMemory < 0 || counts.delivered < 0 || runner.lane.bytesInMemory < 0 {
                fail("I1", "lane \(runner.id): a count is negative: \(counts)")
            }
        }
        // A stretch that is read again is an open batch more. A request is let in below the limit and may cross it; the open batch, then at most a quarter of the limit and that
        // request, is sealed into bytes that each lane counts as its own.
        let used = collector.usedByteCount
        let openMax = collector.memoryLimit / Limits.openBatchBudgetShare + requestByteCountMax
        let bound = collector.memoryLimit + requestByteCountMax + collector.lanes.count * openMax
        if used > bound { fail("I2", "\(used) bytes are used, \(bound) at most may be") }
        mostUsedShare = max(mostUsedShare, Double(used) / Double(collector.memoryLimit))
    }

    // MARK: At the end

    /// I5: with everything drained, each sink and its dead letters hold what is owed, to the record; and of the journal every
    /// entry that is still there.
    mutating func drained(journal: SimulatedJournal, deadLetters: (Lane) -> Set<UInt64>) {
        for lane in Lane.allCases {
            guard let ledger = ledgers[lane] else { continue }
            let dead = deadLetters(lane)
            var setAside: Set<String> = []
            for hash in dead { setAside.formUnion(ledger.contents[hash]?.entries.keys.map { $0 } ?? []) }
            for entry in journal.entries {
                let name = SimulatedJournal.source(entry.id)
                if ledger.entries[name] == nil, !setAside.contains(name) {
                    fail("I5", "lane \(lane): journal entry \(name) is not counted")
                }
            }
            for (key, count) in ledger.owed {
                let applied = ledger.applied[key] ?? 0
                let held = Self.held(key, in: ledger, safe: dead)
                if held < count {
                    fail(
                        "I5",
                        "lane \(lane): \(count - held) of \(count) records of \(key) are lost\(places(key, lane))"
                    )
                }
                if applied > count {
                    fail("I5", "lane \(lane): \(applied) records of \(key) are counted, not \(count)")
                }
            }
            for (key, applied) in ledger.applied where ledger.owed[key] == nil {
                fail("I5", "lane \(lane): \(applied) records of \(key), which nobody sent")
            }
        }
    }
}
