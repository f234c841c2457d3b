public import LogModel

/// Counts records into the open batch: message to template, template and origin to series, series to a count.
///
/// Owns the templates known, the origins known, and the open batch. Memory grows with the patterns that are live, never
/// with the number of records: ``byteCount`` says how much, and every part has a bound. What does not fit under a bound is
/// counted under `<other>`, so the sums always hold. Not safe for use from two threads; reads no clock.
public struct Aggregator: ~Copyable {
    /// What became of one record.
    public struct Outcome {
        public var severity: Severity
        /// Whether its template was known before.
        public var isMatched: Bool
    }

    private struct Series {
        var template: Int32
        var origin: Int32
        var severity: Severity
        var count = 1
        var firstSeen: Timestamp
        var lastSeen: Timestamp
        var latency: LatencySummary?
        var firstSample: Int32
        var sampleCount: UInt8 = 0
        var attributes: Int32 = -1
    }

    private struct Sample {
        var start: Int32
        var byteCount: Int32
    }

    /// What stands for the templates that do not fit under `MAX_PATTERNS`.
    static let otherText: StaticString = "<other>"
    private static let otherTemplate: Int32 = -1
    private static let otherOrigin: Int32 = -1

    private var normalizer: Normalizer
    private var templates: InternTable
    private var origins: InternTable
    private var originKey: [UInt8] = []

    private var epoch: UInt64 = 2
    private var series: [Series] = []
    private var seriesSlots: [Int32]
    private var samples: [Sample] = []
    private var sampleBytes: [UInt8] = []
    private var attributes = AttributeSummaries()
    private var windowStart = Timestamp(nanoseconds: 0)

    /// Records in the open batch.
    public private(set) var recordCount = 0
    /// Records counted under `<other>` since the start, because a bound was reached.
    public private(set) var overflowCount = 0

    public var seriesCount: Int { series.count }
    public var templateCount: Int { templates.entries.count }
    public var templateEvictionCount: Int { templates.evictionCount }

    /// Bytes held, near enough: the open batch and what is known of templates and origins.
    public var byteCount: Int { openByteCount + templates.byteCount + origins.byteCount }

    /// Bytes of the open batch alone: what sealing gives back.
    public var openByteCount: Int {
        series.count * (MemoryLayout<Series>.stride + 8) + samples.count * MemoryLayout<Sample>.stride
            + sampleBytes.count
            + attributes.byteCount
    }

    /// - Parameter templateCountMax: `MAX_PATTERNS`.
    public init(templateCountMax: Int, style: PlaceholderStyle) {
        normalizer = Normalizer(style: style)
        templates = InternTable(capacity: templateCountMax, textByteCountMax: Normalizer.templateByteCountMax)
        origins = InternTable(capacity: Limits.originCountMax, textByteCountMax: 4 * (Limits.nameByteCountMax + 1))
        seriesSlots = [Int32](repeating: 0, count: 1024)
    }

    /// Whether the batch must be sealed before another record is folded: no room for one more series.
    public var isFull: Bool { series.count >= Limits.seriesCountMax }

    /// Counts one record. `now` stamps it when its sender did not, or stamped it out of reason.
    ///
    /// Cost: linear in the message's bytes, plus four look-ups; allocates only for what was never seen before.
    public mutating func fold(_ record: LogRecord, now: Timestamp) -> Outcome {
        precondition(!isFull, "seal the batch before it overflows")
        if recordCount == 0 { windowStart = now }
        recordCount += 1
        let severity = record.severity ?? Severity.found(in: record.message) ?? .info
        let seen = Self.reasonable(record.timestamp, now: now)

        var isMatched = true
        let template: Int32
        switch templates.intern(normalizer.normalize(record.message), epoch: epoch) {
        case .found(let index):
            template = Int32(index)
        case .added(let index):
            template = Int32(index)
            isMatched = false
        case .full:
            template = Self.otherTemplate
            overflowCount += 1
            isMatched = false
        }
        let index = seriesIndex(template: template, origin: originIndex(record), severity: severity, seen: seen)
        if series[index].count > 1 {
            if seen < series[index].firstSeen { series[index].firstSeen = seen }
            if seen > series[index].lastSeen { series[index].lastSeen = seen }
        }
        if let latency = record.latencyMilliseconds {
            if series[index].latency == nil {
                series[index].latency = LatencySummary(first: latency)
            } else {
                series[index].latency?.add(latency)
            }
        }
        if series[index].sampleCount < Limits.sampleCountMax { keepSample(record.message, for: index) }
        if !record.attributes.isEmpty {
            for attribute in record.attributes {
                series[index].attributes = attributes.add(attribute, to: series[index].attributes)
            }
        }
        return Outcome(severity: severity, isMatched: isMatched)
    }

    /// Seals the open batch and begins the next; `nil` when nothing was folded. Linear in the series.
    public mutating func seal(now: Timestamp, clockIsKnown: Bool) -> Batch? {
        guard recordCount > 0 else { return nil }
        var writer = BatchWriter(
            windowStart: windowStart,
            windowEnd: now,
            clockIsKnown: clockIsKnown,
            recordCount: recordCount,
            seriesCount: series.count,
            byteCountEstimate: openByteCount + series.count * 96 + 64
        )
        for index in series.indices { write(series[index], to: &writer) }
        let batch = Batch(payload: writer.bytes, recordCount: recordCount, seriesCount: series.count)
        reset()
        return batch
    }

    private mutating func reset() {
        // A batch far above the usual size gives its memory back; the usual one keeps it for the next.
        let keeps = series.count <= 1024
        series.removeAll(keepingCapacity: keeps)
        samples.removeAll(keepingCapacity: keeps)
        sampleBytes.removeAll(keepingCapacity: keeps)
        if keeps { attributes.removeAll() } else { attributes = AttributeSummaries() }
        if keeps && seriesSlots.count <= 4096 {
            seriesSlots.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        } else {
            seriesSlots = [Int32](repeating: 0, count: 1024)
        }
        recordCount = 0
        epoch += 1
    }

    // MARK: Series

    private mutating func seriesIndex(template: Int32, origin: Int32, severity: Severity, seen: Timestamp) -> Int {
        let key =
            UInt64(UInt32(bitPattern: template)) << 32 | UInt64(UInt32(bitPattern: origin)) << 8
            | UInt64(severity.rawValue)
        // Fibonacci hashing: the golden ratio's bits spread neighbouring keys (Knuth, TAOCP 3, 6.4).
        let mask = seriesSlots.count - 1
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while seriesSlots[slot] != 0 {
            let index = Int(seriesSlots[slot]) - 1
            if series[index].template == template, series[index].origin == origin, series[index].severity == severity {
                series[index].count += 1
                return index
            }
            slot = (slot + 1) & mask
        }
        series.append(
            Series(
                template: template,
                origin: origin,
                severity: severity,
                firstSeen: seen,
                lastSeen: seen,
                firstSample: Int32(samples.count)
            )
        )
        samples.append(contentsOf: repeatElement(Sample(start: 0, byteCount: 0), count: Limits.sampleCountMax))
        seriesSlots[slot] = Int32(series.count)
        if series.count * 2 > seriesSlots.count { growSlots() }
        return series.count - 1
    }

    private mutating func growSlots() {
        let mask = seriesSlots.count * 2 - 1
        seriesSlots = [Int32](repeating: 0, count: mask + 1)
        for (index, entry) in series.enumerated() {
            let key =
                UInt64(UInt32(bitPattern: entry.template)) << 32 | UInt64(UInt32(bitPattern: entry.origin)) << 8
                | UInt64(entry.severity.rawValue)
            var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
            while seriesSlots[slot] != 0 { slot = (slot + 1) & mask }
            seriesSlots[slot] = Int32(index + 1)
        }
    }

    // MARK: Origins

    /// Source, host, tenant and dashboard as one string: each with its length before it, so that no two sets of names
    /// give the same bytes.
    private mutating func originIndex(_ record: LogRecord) -> Int32 {
        originKey.removeAll(keepingCapacity: true)
        appendName(record.source)
        appendName(record.host)
        appendName(record.tenant)
        appendName(record.dashboard)
        let outcome = originKey.withUnsafeBufferPointer { key in origins.intern(key, epoch: epoch) }
        switch outcome {
        case .found(let index), .added(let index): return Int32(index)
        case .full:
            overflowCount += 1
            return Self.otherOrigin
        }
    }

    private mutating func appendName(_ name: ByteView) {
        let count = min(name.count, Limits.nameByteCountMax)
        originKey.append(UInt8(count))
        originKey.append(contentsOf: ByteView(rebasing: name.prefix(count)))
    }

    // MARK: Samples

    private mutating func keepSample(_ message: ByteView, for index: Int) {
        let start = sampleBytes.count
        UTF8Repair.append(message, to: &sampleBytes, byteCountMax: Limits.sampleByteCountMax)
        let slot = Int(series[index].firstSample) + Int(series[index].sampleCount)
        samples[slot] = Sample(start: Int32(start), byteCount: Int32(sampleBytes.count - start))
        series[index].sampleCount += 1
    }

    // MARK: Writing

    private func write(_ entry: Series, to writer: inout BatchWriter) {
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
        writer.append(UInt64(entry.sampleCount))
        sampleBytes.withUnsafeBufferPointer { bytes in
            for offset in 0..<Int(entry.sampleCount) {
                let sample = samples[Int(entry.firstSample) + offset]
                writer.append(ByteView(rebasing: bytes[Int(sample.start)..<Int(sample.start + sample.byteCount)]))
            }
        }
        attributes.write(entry.attributes, to: &writer)
    }

    private func withText(of template: Int32, _ body: (UInt64, ByteView) -> Void) {
        if template == Self.otherTemplate {
            let text = Self.other
            body(XXH64.hash(text), text)
        } else {
            let entry = templates.entries[Int(template)]
            entry.text.withUnsafeBufferPointer { body(entry.id, $0) }
        }
    }

    private func withNames(of origin: Int32, _ body: (ByteView, ByteView, ByteView, ByteView) -> Void) {
        let empty = ByteView(start: nil, count: 0)
        if origin == Self.otherOrigin {
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
