public import LogModel

/// Counts records into the open batches: message to template, template and origin to series, series to a count.
///
/// There are two open batches, so that a record somebody waits for does not drag the whole window through a commit: the
/// *awaited* one holds the records that must be durable, the *ordinary* one the rest. Either can be sealed alone.
///
/// Owns the templates known, the origins known, and both batches. Memory grows with the patterns that are live, never with
/// the number of records: ``byteCount`` says how much, and every part has a bound. What does not fit under a bound is
/// counted under `<other>`, so the sums always hold. Not safe for use from two threads; reads no clock.
public struct Aggregator: ~Copyable {
    /// What became of one record.
    public struct Outcome {
        public var severity: Severity
        /// Whether its template was known before.
        public var isMatched: Bool
        /// Whether it is in the awaited batch.
        public var isAwaited: Bool
    }

    /// Which open batch to seal.
    public enum Part: Sendable { case awaited, ordinary }

    /// What stands for the templates and origins that do not fit under their bounds.
    static let otherText: StaticString = "<other>"
    private static let otherNumber: Int32 = -1

    private var normalizer: Normalizer
    private var templates: InternTable
    private var origins: InternTable
    /// Where the key of a record's origin is put together.
    private let originKey: UnsafeMutablePointer<UInt8>
    /// The epoch goes on only when both batches are empty: until then an older one may still name templates by number.
    private var epoch: UInt64 = 2
    private var ordinary = OpenBatch()
    private var awaited = OpenBatch()

    /// Records counted under `<other>` since the start, because a bound was reached.
    public private(set) var overflowCount = 0

    public var recordCount: Int { ordinary.recordCount + awaited.recordCount }
    public var seriesCount: Int { ordinary.series.count + awaited.series.count }
    public var templateCount: Int { templates.entries.count }
    public var templateEvictionCount: Int { templates.evictionCount }

    /// Bytes held, near enough: the open batches and what is known of templates and origins.
    public var byteCount: Int { openByteCount + templates.byteCount + origins.byteCount }

    /// Bytes of the open batches alone: what sealing gives back.
    public var openByteCount: Int { ordinary.byteCount + awaited.byteCount }

    /// Whether a batch must be sealed before another record is folded: no room for one more series.
    public var isFull: Bool { ordinary.isFull || awaited.isFull }

    /// - Parameter templateCountMax: `MAX_PATTERNS`.
    public init(templateCountMax: Int, style: PlaceholderStyle) {
        normalizer = Normalizer(style: style)
        templates = InternTable(capacity: templateCountMax, textByteCountMax: Normalizer.templateByteCountMax)
        origins = InternTable(capacity: Limits.originCountMax, textByteCountMax: Self.originByteCountMax)
        originKey = .allocate(capacity: Self.originByteCountMax)
    }

    deinit { originKey.deallocate() }

    private static let originByteCountMax = 4 * (Limits.nameByteCountMax + 1)

    /// Counts one record. `now` stamps it when its sender did not, or stamped it out of reason; at or above `durableLevel`
    /// it goes to the awaited batch.
    ///
    /// Cost: linear in the message's bytes, plus four look-ups; allocates only for what was never seen before.
    public mutating func fold(_ record: LogRecord, durableLevel: Severity? = nil, now: Timestamp) -> Outcome {
        let severity = record.severity ?? Severity.found(in: record.message) ?? .info
        let seen = Self.reasonable(record.timestamp, now: now)
        let (template, isMatched) = templateNumber(record.message)
        let origin = originNumber(record)
        let isAwaited = durableLevel.map { severity >= $0 } ?? false
        if isAwaited {
            awaited.fold(record, template: template, origin: origin, severity: severity, seen: seen, now: now)
        } else {
            ordinary.fold(record, template: template, origin: origin, severity: severity, seen: seen, now: now)
        }
        return Outcome(severity: severity, isMatched: isMatched, isAwaited: isAwaited)
    }

    private mutating func templateNumber(_ message: ByteView) -> (Int32, isMatched: Bool) {
        switch templates.intern(normalizer.normalize(message), epoch: epoch) {
        case .found(let index): return (Int32(index), true)
        case .added(let index): return (Int32(index), false)
        case .full:
            overflowCount += 1
            return (Self.otherNumber, false)
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
        case .found(let index), .added(let index): return Int32(index)
        case .full:
            overflowCount += 1
            return Self.otherNumber
        }
    }

    @inline(__always)
    private func writeName(_ name: ByteView, at offset: Int) -> Int {
        let count = min(name.count, Limits.nameByteCountMax)
        originKey[offset] = UInt8(count)
        for index in 0..<count { originKey[offset + 1 + index] = name[index] }
        return offset + 1 + count
    }

    // MARK: Sealing

    /// Seals one open batch and begins its next; `nil` when nothing was folded into it. Linear in the series.
    public mutating func seal(_ part: Part, now: Timestamp, clockIsKnown: Bool) -> Batch? {
        let batch: Batch?
        switch part {
        case .awaited:
            batch = encode(awaited, now: now, clockIsKnown: clockIsKnown)
            awaited.reset()
        case .ordinary:
            batch = encode(ordinary, now: now, clockIsKnown: clockIsKnown)
            ordinary.reset()
        }
        if recordCount == 0, batch != nil { epoch += 1 }
        return batch
    }

    private func encode(_ open: OpenBatch, now: Timestamp, clockIsKnown: Bool) -> Batch? {
        guard open.recordCount > 0 else { return nil }
        var writer = BatchWriter(
            windowStart: open.windowStart,
            windowEnd: now,
            clockIsKnown: clockIsKnown,
            recordCount: open.recordCount,
            seriesCount: open.series.count,
            byteCountEstimate: open.byteCount + open.series.count * 96 + 64
        )
        for entry in open.series {
            withText(of: entry.template) { id, template in
                withNames(of: entry.origin) { source, host, tenant, dashboard in
                    writer.beginSeries(
                        templateID: id,
                        severity: entry.severity,
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
            }
            open.writeDetails(of: entry, to: &writer)
        }
        return Batch(payload: writer.bytes, recordCount: open.recordCount, seriesCount: open.series.count)
    }

    private func withText(of template: Int32, _ body: (UInt64, ByteView) -> Void) {
        if template == Self.otherNumber {
            let text = Self.other
            body(XXH64.hash(text), text)
        } else {
            let entry = templates.entries[Int(template)]
            entry.text.withUnsafeBufferPointer { body(entry.id, $0) }
        }
    }

    private func withNames(of origin: Int32, _ body: (ByteView, ByteView, ByteView, ByteView) -> Void) {
        let empty = ByteView(start: nil, count: 0)
        if origin == Self.otherNumber {
            body(Self.other, empty, empty, empty)
            return
        }
        // The key, not the repaired text: repair would shift the lengths. Each name is repaired by itself.
        origins.entries[Int(origin)].key.withUnsafeBufferPointer { key in
            var offset = 0
            var names = InlineArray<4, [UInt8]>(repeating: [])
            for index in 0..<4 {
                let count = Int(key[offset])
                UTF8Repair.append(
                    ByteView(rebasing: key[offset + 1..<offset + 1 + count]),
                    to: &names[index],
                    byteCountMax: Limits.nameByteCountMax
                )
                offset += 1 + count
            }
            names[0].withUnsafeBufferPointer { source in
                names[1].withUnsafeBufferPointer { host in
                    names[2].withUnsafeBufferPointer { tenant in
                        names[3].withUnsafeBufferPointer { body(source, host, tenant, $0) }
                    }
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
