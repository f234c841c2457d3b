public import LogModel

/// Counts records into the open batches: message to template, template and origin to series, series to a count.
///
/// There are two open batches, so that a record somebody waits for does not drag the whole window through a commit: the
/// *awaited* one holds the records that must be durable, the *ordinary* one the rest. Either can be sealed alone. A third, the
/// *keyed* one, holds a request with an `Idempotency-Key` while it is folded; a fourth, the *reread* one, a stretch of a
/// replayable source that a start reads again for some lane.
///
/// Owns the templates known, the origins known, and the batches. Memory grows with the patterns that are live, never with
/// the number of records: ``byteCount`` says how much, and every part has a bound. What does not fit under a bound is
/// counted under `<other>`, so the sums always hold. Not safe for use from two threads; reads no clock.
public struct Aggregator: ~Copyable {
    /// What became of one record.
    public struct Outcome {
        public var severity: Severity
        /// Whether its template was known before.
        public var isMatched: Bool
        /// The message without secrets, valid until the next record.
        public var message: ByteView
        /// Whether it is in the awaited batch.
        public var isAwaited: Bool
        /// As ``Aggregator/isFull`` is now.
        public var isFull: Bool
    }

    /// What is looked at after each request, in one look.
    public struct Standing: Sendable {
        public var recordCount: Int
        /// As ``Aggregator/openByteCount``.
        public var openByteCount: Int
        /// As ``Aggregator/byteCount``.
        public var byteCount: Int
        public var isFull: Bool
    }

    /// Which open batch to seal.
    public enum Part: Sendable { case awaited, ordinary, keyed, reread }

    /// What stands for the templates and origins that do not fit under their bounds.
    static let otherText: StaticString = "<other>"
    private static let otherNumber: Int32 = -1

    private var engine: PatternEngine
    private var origins: InternTable
    private var meters = SourceMeters()
    /// Where the key of a record's origin is put together.
    private let originKey: UnsafeMutablePointer<UInt8>
    /// The epoch goes on only when both batches are empty: until then an older one may still name templates by number.
    private var epoch: UInt64 = 2
    private var settledAt = Timestamp(nanoseconds: 0)
    private var templateText: [UInt8] = []
    private var ordinary = OpenBatch()
    private var awaited = OpenBatch()
    /// Of the one request under way that has an `Idempotency-Key`; empty between requests.
    private var keyed = OpenBatch()
    /// Of the one stretch that is being read again; empty otherwise.
    private var reread = OpenBatch()

    /// Records counted under `<other>` since the start, because a bound was reached.
    public private(set) var overflowCount = 0

    public var recordCount: Int { ordinary.recordCount + awaited.recordCount + keyed.recordCount }
    /// Records in the reread batch, which belong to some lanes only and are not counted in ``recordCount``.
    public var rereadCount: Int { reread.recordCount }
    public var seriesCount: Int { ordinary.series.count + awaited.series.count + keyed.series.count }
    public var templateCount: Int { engine.miner.patternCount }
    public var templateEvictionCount: Int { engine.miner.evictionCount }
    public var mergeCount: Int { engine.miner.mergeCount }
    /// Grows whenever there is a template that was not there before, also because one became more general.
    public var templateLearnedCount: Int { engine.miner.textChangeCount }
    public var redactionCount: Int { engine.redactionCount }

    /// Records counted without their sample and attributes since the start, because their source was too fast.
    package var suppressedCount: Int { meters.suppressedCount }
    /// Whose they were, as far as their batches are sealed.
    package var suppressed: SuppressedSeries { meters.suppressed }

    /// Bytes held, near enough: the open batches and what is known of templates and origins.
    public var byteCount: Int { openByteCount + engine.byteCount + origins.byteCount + meters.byteCount }

    /// Bytes of the open batches alone: what sealing gives back.
    public var openByteCount: Int { ordinary.byteCount + awaited.byteCount + keyed.byteCount + reread.byteCount }

    /// Changes nothing. Yet `mutating`, so that it is looked at in place: to lend out what a class stores, the compiler copies it, and
    /// that is two kilobytes a request.
    public var standing: Standing {
        mutating get {
            let open = openByteCount
            return Standing(
                recordCount: recordCount,
                openByteCount: open,
                byteCount: open + engine.miner.byteCount + origins.byteCount,
                isFull: isFull
            )
        }
    }

    /// Whether a batch must be sealed before another record is folded: no room for one more series.
    public var isFull: Bool { ordinary.isFull || awaited.isFull || keyed.isFull }

    /// Whether the ordinary batch could take so many series more.
    public func hasRoom(forSeries count: Int) -> Bool {
        ordinary.series.count + count <= Limits.seriesCountMax
    }

    /// - Parameters:
    ///   - templateCountMax: `MAX_PATTERNS`.
    ///   - redactionKey: makes equal secrets tellable (``Redactor/init(key:)``).
    public init(templateCountMax: Int, style: PlaceholderStyle, redactionKey: [UInt8]? = nil) {
        engine = PatternEngine(capacity: templateCountMax, style: style, redactionKey: redactionKey)
        origins = InternTable(capacity: Limits.originCountMax, textByteCountMax: Self.originByteCountMax)
        originKey = .allocate(capacity: Self.originByteCountMax)
    }

    deinit { originKey.deallocate() }

    private static let originByteCountMax = 4 * (Limits.nameByteCountMax + 1)

    /// Counts one record. `now` stamps it when its sender did not, or stamped it out of reason; at or above `durableLevel`
    /// it goes to the awaited batch; when its request has a key, to the keyed one in either case, and what is read again to the
    /// reread one.
    ///
    /// One that comes faster than its source may (``limitSources(to:)``) is counted like any other and leaves no sample and no
    /// attributes; `clock` is what that is measured by.
    ///
    /// Cost: linear in the message's bytes, plus four look-ups; allocates only for what was never seen before.
    public mutating func fold(
        _ record: LogRecord,
        durableLevel: Severity? = nil,
        isKeyed: Bool = false,
        isReread: Bool = false,
        now: Timestamp,
        clock: MonotonicTime = MonotonicTime(nanoseconds: 0)
    ) -> Outcome {
        let found = pattern(of: record)
        let severity = record.severity ?? found.severity ?? .info
        let seen = Self.reasonable(record.timestamp, now: now)
        let origin = originNumber(record)
        let isAwaited = durableLevel.map { severity >= $0 } ?? false
        let judged = JudgedRecord(
            message: found.message,
            template: found.number,
            origin: origin,
            severity: severity,
            seen: seen,
            isBare: meters.isSuppressed(origin: origin, now: clock)
        )
        if isReread {
            reread.fold(record, judged, now: now, engine: &engine)
        } else if isKeyed {
            keyed.fold(record, judged, now: now, engine: &engine)
        } else if isAwaited {
            awaited.fold(record, judged, now: now, engine: &engine)
        } else {
            ordinary.fold(record, judged, now: now, engine: &engine)
        }
        return Outcome(
            severity: severity,
            isMatched: found.isMatched,
            message: found.message,
            isAwaited: isAwaited,
            isFull: isFull
        )
    }

    /// The message without secrets, the number of its pattern and, when the record has no level of its own, the one that its text states.
    private struct Found {
        var message: ByteView
        var number: Int32
        var isMatched: Bool
        var severity: Severity?
    }

    /// What ``PatternEngine/remember(_:number:level:)`` keeps of a level: the raw value of the severity that the text states,
    /// 0 when it states none, or this when nobody looked.
    private static let levelUnknown: UInt8 = 0xFF

    /// Redacts the message of a record and finds its pattern.
    private mutating func pattern(of record: LogRecord) -> Found {
        let message = record.message
        if let recalled = engine.recall(message, epoch: epoch) {
            if record.severity != nil || recalled.level != Self.levelUnknown {
                return Found(
                    message: message,
                    number: Int32(recalled.number),
                    isMatched: true,
                    severity: Severity(rawValue: recalled.level)
                )
            }
        }
        let redacted = engine.redact(message)
        let severity = record.severity == nil ? engine.level(in: redacted) : nil
        switch engine.learn(redacted, epoch: epoch) {
        case .known(let number):
            // Only a message in which nothing was redacted: one with a secret in it is kept nowhere.
            if redacted.baseAddress == message.baseAddress, redacted.count == message.count {
                let level = record.severity == nil ? severity?.rawValue ?? 0 : Self.levelUnknown
                engine.remember(message, number: number, level: level)
            }
            return Found(message: redacted, number: Int32(number), isMatched: true, severity: severity)
        case .new(let number):
            return Found(message: redacted, number: Int32(number), isMatched: false, severity: severity)
        case .full:
            overflowCount += 1
            return Found(message: redacted, number: Self.otherNumber, isMatched: false, severity: severity)
        }
    }

    /// Source, host, tenant and dashboard as one string: each with its length before it, so that no two sets of names
    /// give the same bytes.
    private mutating func originNumber(_ record: LogRecord) -> Int32 {
        var count = writeName(record.source, at: 0)
        count = writeName(record.host, at: count)
        count = writeName(record.tenant, at: count)
        count = writeName(record.dashboard, at: count)
        switch origins.intern(ByteView(start: originKey, count: count), epoch: epoch) {
        case .found(let index): return Int32(index)
        case .added(let index):
            meters.began(origin: index)
            return Int32(index)
        case .full:
            overflowCount += 1
            return Self.otherNumber
        }
    }

    @inline(__always)
    private func writeName(_ name: ByteView, at offset: Int) -> Int {
        let count = min(name.count, Limits.nameByteCountMax)
        originKey[offset] = UInt8(count)
        guard let bytes = name.baseAddress, count > 0 else { return offset + 1 }
        let target = UnsafeMutableRawPointer(originKey + offset + 1)
        if count < 8 {
            for index in 0..<count { target.storeBytes(of: bytes[index], toByteOffset: index, as: UInt8.self) }
        } else {
            // Eight bytes at a time, the last of them perhaps in part for the second time: a call would cost more than the copy.
            let source = UnsafeRawPointer(bytes)
            var index = 0
            while index < count {
                let place = min(index, count &- 8)  // not negative, as there are eight
                let word = source.loadUnaligned(fromByteOffset: place, as: UInt64.self)
                target.storeBytes(of: word, toByteOffset: place, as: UInt64.self)
                index &+= 8  // below `count` and eight
            }
        }
        return offset + 1 + count
    }

    /// How fast a source may be before its records are counted only; `nil`: no limit. A source is what has one origin: the same
    /// program on two hosts is two.
    package mutating func limitSources(to limit: RateLimit?) {
        meters.limit = limit
    }

    /// Whether records keep more than one message a series, and their attributes. Counts are kept whatever this says.
    public mutating func keep(samples: Bool, attributes: Bool) {
        ordinary.keepsSamples = samples
        awaited.keepsSamples = samples
        keyed.keepsSamples = samples
        reread.keepsSamples = samples
        ordinary.keepsAttributes = attributes
        awaited.keepsAttributes = attributes
        keyed.keepsAttributes = attributes
        reread.keepsAttributes = attributes
    }

    /// The clock from which the open batches were stamped, up to `end`, turned out to be wrong by `step`. Linear in the series.
    public mutating func correctStamps(by step: Duration, until end: Timestamp) {
        ordinary.correctStamps(by: step, until: end)
        awaited.correctStamps(by: step, until: end)
        keyed.correctStamps(by: step, until: end)
        reread.correctStamps(by: step, until: end)
    }

    // MARK: Catalogue

    /// The templates known, for the next process: docs/formats/spool-file.md. Linear; allocates the result.
    public func catalogue() -> [UInt8] {
        var bytes: [UInt8] = Array("LBC1".utf8)
        engine.miner.forEachTemplate { _, _, text in
            bytes.append(UInt8(truncatingIfNeeded: text.count))
            bytes.append(UInt8(truncatingIfNeeded: text.count >> 8))
            bytes.append(contentsOf: text)
        }
        return bytes
    }

    /// Makes the templates of the last process known, as many as there is room for. What is not a catalogue, or is cut short,
    /// is ignored from there on: patterns are learned again. Before the first record only.
    public mutating func restore(catalogue bytes: [UInt8]) {
        bytes.withUnsafeBufferPointer { bytes in
            guard bytes.starts(with: "LBC1".utf8) else { return }
            var offset = 4
            while offset + 2 <= bytes.count {
                let count = Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
                guard offset + 2 + count <= bytes.count else { return }
                engine.restore(template: ByteView(rebasing: bytes[offset + 2..<offset + 2 + count]))
                offset += 2 + count
            }
        }
    }

    // MARK: Sealing

    /// Seals one open batch and begins its next; `nil` when nothing was folded into it. Linear in the series.
    ///
    /// Patterns that turned out to be one are told with the next batch, whichever it is.
    public mutating func seal(_ part: Part, now: Timestamp, clockIsKnown: Bool) -> Batch? {
        settleIfDue(now: now)
        let batch: Batch?
        switch part {
        case .awaited:
            batch = encode(awaited, now: now, clockIsKnown: clockIsKnown)
            awaited.reset()
        case .keyed:
            batch = encode(keyed, now: now, clockIsKnown: clockIsKnown)
            keyed.reset()
        case .reread:
            batch = encode(reread, now: now, clockIsKnown: clockIsKnown)
            reread.reset()
        case .ordinary:
            batch = encode(ordinary, now: now, clockIsKnown: clockIsKnown)
            ordinary.reset()
        }
        if recordCount == 0, rereadCount == 0, batch != nil { epoch += 1 }
        return batch
    }

    /// Looks, at most every ten seconds, whether patterns seen early have turned out to be one: so that a long window, which
    /// nobody waits for, ends with few.
    private mutating func settleIfDue(now: Timestamp) {
        let age = now.nanoseconds &- settledAt.nanoseconds
        guard age < 0 || age >= 10_000_000_000 else { return }
        settledAt = now
        engine.settle()
    }

    private mutating func encode(_ open: borrowing OpenBatch, now: Timestamp, clockIsKnown: Bool) -> Batch? {
        guard open.recordCount > 0 else { return nil }
        var writer = BatchWriter(
            windowStart: open.windowStart,
            windowEnd: now,
            clockIsKnown: clockIsKnown,
            recordCount: open.recordCount,
            seriesCount: open.series.count,
            merges: engine.takeMerges(),
            byteCountEstimate: open.byteCount + open.series.count * 96 + 64
        )
        for entry in open.series {
            Self.withViews(names(of: entry.origin)) { source, host, tenant, dashboard in
                withText(of: entry.template, source: source) { id, template, classification in
                    writer.beginSeries(
                        templateID: id,
                        severity: entry.severity,
                        classification: classification,
                        template: template,
                        source: source,
                        host: host,
                        tenant: tenant,
                        dashboard: dashboard,
                        count: entry.count,
                        firstSeen: entry.firstSeen,
                        lastSeen: entry.lastSeen,
                        latency: entry.latency
                    )
                }
                if entry.bareCount > 0 { note(entry, source: source, host: host) }
            }
            open.writeDetails(of: entry, to: &writer)
        }
        return Batch(payload: writer.bytes, recordCount: open.recordCount, seriesCount: open.series.count)
    }

    /// Some of the series written last were counted only.
    private mutating func note(_ entry: OpenBatch.Series, source: ByteView, host: ByteView) {
        guard entry.template != Self.otherNumber else {
            return meters.note(entry.bareCount, source: source, host: host, pattern: Self.other)
        }
        let text = templateText
        text.withUnsafeBufferPointer { meters.note(entry.bareCount, source: source, host: host, pattern: $0) }
    }

    private mutating func withText(
        of template: Int32,
        source: ByteView,
        _ body: (UInt64, ByteView, Classification) -> Void
    ) {
        guard template != Self.otherNumber else {
            let text = Self.other
            return body(XXH64.hash(text), text, Classification())
        }
        let number = engine.miner.survivor(of: Int(template))
        // The text is copied: it belongs to the miner, which the classification may not touch, but the compiler cannot know.
        var id: UInt64 = 0
        templateText.removeAll(keepingCapacity: true)
        engine.miner.withTemplate(of: number) { templateID, text in
            id = templateID
            templateText.append(contentsOf: text)
        }
        let text = templateText
        text.withUnsafeBufferPointer { view in
            let classification = engine.classification(of: number, id: id, template: view, source: source)
            body(id, view, classification)
        }
    }

    /// Source, host, tenant and dashboard, repaired.
    private func names(of origin: Int32) -> InlineArray<4, [UInt8]> {
        var names = InlineArray<4, [UInt8]>(repeating: [])
        guard origin != Self.otherNumber else {
            names[0] = Array(Self.other)
            return names
        }
        // The key, not the repaired text: repair would shift the lengths. Each name is repaired by itself.
        origins.entries[Int(origin)].key.withUnsafeBufferPointer { key in
            var offset = 0
            for index in 0..<4 {
                let count = Int(key[offset])
                UTF8Repair.append(
                    ByteView(rebasing: key[offset + 1..<offset + 1 + count]),
                    to: &names[index],
                    byteCountMax: Limits.nameByteCountMax
                )
                offset += 1 + count
            }
        }
        return names
    }

    private static func withViews(
        _ names: InlineArray<4, [UInt8]>,
        _ body: (ByteView, ByteView, ByteView, ByteView) -> Void
    ) {
        names[0].withUnsafeBufferPointer { source in
            names[1].withUnsafeBufferPointer { host in
                names[2].withUnsafeBufferPointer { tenant in
                    names[3].withUnsafeBufferPointer { body(source, host, tenant, $0) }
                }
            }
        }
    }

    private static var other: ByteView {
        ByteView(start: otherText.utf8Start, count: otherText.utf8CodeUnitCount)
    }

    /// A stated stamp, unless it lies before 1990 or more than a day ahead: such a sender's clock was never set, and one
    /// record from 1970 would make its pattern look half a century old.
    private static func reasonable(_ stated: Timestamp?, now: Timestamp) -> Timestamp {
        guard let stated, stated.nanoseconds > 631_152_000 * 1_000_000_000,
            stated.nanoseconds < now.nanoseconds + 86_400 * 1_000_000_000
        else { return now }
        return stated
    }
}
