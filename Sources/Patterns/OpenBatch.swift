internal import LogModel

/// What was found out about a record before it is counted.
struct JudgedRecord {
    /// Without secrets.
    var message: ByteView
    var template: Int32
    var origin: Int32
    var severity: Severity
    var seen: Timestamp
    /// Counted without sample and attributes, as its source is too fast.
    var isBare: Bool
}

/// The series of one open batch: counts, first and last seen, samples, attributes. Owns their bytes; knows templates and
/// origins by number only.
///
/// Bounds: ``Limits/seriesCountMax`` series, each with at most ``Limits/sampleCountMax`` samples and eight attributes.
struct OpenBatch {
    struct Series {
        var template: Int32
        var origin: Int32
        var severity: Severity
        var count = 1
        /// Of them, those that left neither sample nor attributes.
        var bareCount = 0
        var firstSeen: Timestamp
        var lastSeen: Timestamp
        var latency: LatencySummary?
        /// The first of its ``sampleSlotCount`` samples.
        var firstSample: Int32
        var samples = SampleChoice()
        /// Of the record kept as the last, in seconds since 1970.
        var lastSampleSecond: Int64 = .min
        var attributes: Int32 = -1
    }

    private struct Sample {
        var start: Int32 = 0
        var byteCount: Int32 = 0
        /// Bytes set aside for it, which a later sample may use again.
        var room: Int32 = 0
    }

    /// The first record of the window, one drawn evenly from the rest, and the last.
    private static let sampleSlotCount = Limits.sampleCountMax

    private(set) var series: [Series] = []
    private(set) var recordCount = 0
    private(set) var windowStart = Timestamp(nanoseconds: 0)
    /// Open addressing with linear probing: series index + 1, and 0 is empty. At most half full.
    private var slots = [Int32](repeating: 0, count: 1024)
    private var samples: [Sample] = []
    private var sampleBytes: [UInt8] = []
    private var attributes = AttributeSummaries()
    /// Given up while memory is short. The first message of a series is always kept: a pattern without one is hard to believe.
    var keepsSamples = true
    var keepsAttributes = true

    /// Near enough.
    var byteCount: Int {
        series.count * (MemoryLayout<Series>.stride + 8) + samples.count * MemoryLayout<Sample>.stride
            + sampleBytes.count
            + attributes.byteCount
    }

    var isFull: Bool { series.count >= Limits.seriesCountMax }

    /// Counts one record in its series; `engine` takes the secrets out of its attributes.
    mutating func fold(_ record: LogRecord, _ judged: JudgedRecord, now: Timestamp, engine: inout PatternEngine) {
        precondition(!isFull, "seal the batch before it overflows")
        if recordCount == 0 { windowStart = now }
        recordCount += 1
        let index = find(judged)
        // One access to the series' memory, not one a field.
        Self.update(&series[index], seen: judged.seen, latency: record.latencyMilliseconds)
        if judged.isBare {
            series[index].bareCount += 1
            // The first message is always kept.
            guard series[index].samples.count == 0 else { return }
            return keepSamples(judged.message, for: index, at: now)
        }
        if keepsSamples || series[index].samples.count == 0 { keepSamples(judged.message, for: index, at: now) }
        if keepsAttributes && !record.attributes.isEmpty {
            for attribute in record.attributes {
                var attribute = attribute
                attribute.value = engine.redact(attribute)
                series[index].attributes = attributes.add(attribute, to: series[index].attributes)
            }
        }
    }

    private static func update(_ series: inout Series, seen: Timestamp, latency: Double?) {
        if seen < series.firstSeen { series.firstSeen = seen }
        if seen > series.lastSeen { series.lastSeen = seen }
        guard let latency else { return }
        if series.latency == nil {
            series.latency = LatencySummary(first: latency)
        } else {
            series.latency?.add(latency)
        }
    }

    private static func slot(template: Int32, origin: Int32, severity: Severity, mask: Int) -> Int {
        let key =
            UInt64(UInt32(bitPattern: template)) << 32 | UInt64(UInt32(bitPattern: origin)) << 8
            | UInt64(severity.rawValue)
        // Fibonacci hashing: the golden ratio's bits spread neighbouring keys (Knuth, TAOCP 3, 6.4).
        return Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    }

    private mutating func find(_ judged: JudgedRecord) -> Int {
        let (template, origin, severity) = (judged.template, judged.origin, judged.severity)
        let mask = slots.count - 1
        var slot = Self.slot(template: template, origin: origin, severity: severity, mask: mask)
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
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
                firstSeen: judged.seen,
                lastSeen: judged.seen,
                firstSample: Int32(samples.count)
            )
        )
        samples.append(contentsOf: repeatElement(Sample(), count: Self.sampleSlotCount))
        slots[slot] = Int32(series.count)
        if series.count * 2 > slots.count { growSlots() }
        return series.count - 1
    }

    private mutating func growSlots() {
        let mask = slots.count * 2 - 1
        slots = [Int32](repeating: 0, count: mask + 1)
        for (index, entry) in series.enumerated() {
            var slot = Self.slot(
                template: entry.template,
                origin: entry.origin,
                severity: entry.severity,
                mask: mask
            )
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = Int32(index + 1)
        }
    }

    /// Keeps the message where the choice falls on it. The last one is taken once a second at most: in a flood the newest
    /// record would else be copied a hundred thousand times to be kept once.
    @inline(__always)
    private mutating func keepSamples(_ message: ByteView, for index: Int, at now: Timestamp) {
        let chance = SampleChoice.chance(series: UInt64(index), record: series[index].samples.count)
        let slots = series[index].samples.add(reservoirCountMax: Self.sampleSlotCount - 2, chance: chance)
        let second = now.nanoseconds / 1_000_000_000
        if slots.isFirst {
            keepSample(message, in: Int(series[index].firstSample))
        } else {
            if let place = slots.reservoir { keepSample(message, in: Int(series[index].firstSample) + 1 + place) }
            if second != series[index].lastSampleSecond || series[index].samples.count <= Self.sampleSlotCount {
                keepSample(message, in: Int(series[index].firstSample) + Self.sampleSlotCount - 1)
            }
        }
        series[index].lastSampleSecond = second
    }

    private mutating func keepSample(_ message: ByteView, in slot: Int) {
        let start = sampleBytes.count
        UTF8Repair.append(message, to: &sampleBytes, byteCountMax: Limits.sampleByteCountMax)
        let byteCount = sampleBytes.count - start
        samples[slot].byteCount = Int32(byteCount)
        if byteCount <= Int(samples[slot].room) {
            let target = Int(samples[slot].start)
            sampleBytes.withUnsafeMutableBufferPointer { bytes in
                for offset in 0..<byteCount { bytes[target + offset] = bytes[start + offset] }
            }
            sampleBytes.removeLast(byteCount)
        } else {
            // A multiple of 64: the next ones are likely to fit.
            let room = min(Limits.sampleByteCountMax, (byteCount + 63) & ~63)
            sampleBytes.append(contentsOf: repeatElement(0, count: max(0, room - byteCount)))
            samples[slot].start = Int32(start)
            samples[slot].room = Int32(max(room, byteCount))
        }
    }

    /// Moves the stamps that were taken from a clock since set by `step`: those of the window so far, up to `end`. Others were
    /// stated by senders whose clocks were other ones.
    mutating func correctStamps(by step: Duration, until end: Timestamp) {
        guard recordCount > 0 else { return }
        let window = windowStart...max(windowStart, end)
        for index in series.indices {
            if window.contains(series[index].firstSeen) {
                series[index].firstSeen = series[index].firstSeen.advanced(by: step)
            }
            if window.contains(series[index].lastSeen) {
                series[index].lastSeen = series[index].lastSeen.advanced(by: step)
            }
            if series[index].lastSeen < series[index].firstSeen {
                let first = series[index].firstSeen
                series[index].firstSeen = series[index].lastSeen
                series[index].lastSeen = first
            }
        }
        windowStart = windowStart.advanced(by: step)
    }

    /// Writes what a series has beside its names and counts: its samples, oldest first and none twice, and its attributes.
    func writeDetails(of entry: Series, to writer: inout BatchWriter) {
        sampleBytes.withUnsafeBufferPointer { bytes in
            var texts: [ByteView] = []
            for slot in 0..<min(Self.sampleSlotCount, entry.samples.count) {
                // Of two records, the second is both in the reservoir and the last.
                let sample = samples[Int(entry.firstSample) + slot]
                let text = ByteView(rebasing: bytes[Int(sample.start)..<Int(sample.start + sample.byteCount)])
                if !texts.contains(where: { $0.elementsEqual(text) }) { texts.append(text) }
            }
            writer.append(UInt64(texts.count))
            for text in texts { writer.append(text) }
        }
        attributes.write(entry.attributes, to: &writer)
    }

    /// Empties it for the next batch. One far above the usual size gives its memory back; the usual one keeps it.
    mutating func reset() {
        guard series.count <= 1024, slots.count <= 4096 else {
            let (samples, attributes) = (keepsSamples, keepsAttributes)
            self = OpenBatch()
            (keepsSamples, keepsAttributes) = (samples, attributes)
            return
        }
        series.removeAll(keepingCapacity: true)
        samples.removeAll(keepingCapacity: true)
        sampleBytes.removeAll(keepingCapacity: true)
        attributes.removeAll()
        slots.withUnsafeMutableBufferPointer { $0.update(repeating: 0) }
        recordCount = 0
    }
}
