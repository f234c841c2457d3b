// The encoding of a batch: docs/formats/batch.md is the specification, this is its only reader and writer.
//
//   "LBB2"  flags:1  windowStart:8  windowEnd:8  recordCount:varint  seriesCount:varint
//           mergeCount:varint { from:8 to:8 template:text }…  series…
//   series: id:8  severity:1  category:1  tags:varint  template source host tenant dashboard (text each)  count:varint
//           first last (zigzag from windowStart)  latency (0, or 1 count:varint sum min max:8 each)  sampleCount:varint text…
//           attributeCount:varint { key:text  otherCount:varint  distinctCount:varint  numberCount:varint (min:8 max:8 when
//           there are any)  valueCount:varint { value:text count:varint }… }…
//   text:   byteCount:varint bytes          numbers little-endian, varint LEB128, zigzag as in Protocol Buffers
//   "LBB1", of releases before: without merges, category, tags, distinctCount and numbers. Still read.

/// Says why bytes are not a batch: they came back damaged from disk, or were written by a later version.
public enum BatchFormatError: Error, Sendable, Equatable {
    case notABatch
    case truncated(offset: Int)
    case invalidSeverity(UInt8)
    case trailingBytes(Int)
}

/// The sums over the latencies that senders stated, in milliseconds.
public struct LatencySummary: Sendable, Equatable {
    public var count: Int
    public var sum: Double
    public var minimum: Double
    public var maximum: Double

    public init(first value: Double) {
        count = 1
        sum = value
        minimum = value
        maximum = value
    }

    public init(count: Int, sum: Double, minimum: Double, maximum: Double) {
        self.count = count
        self.sum = sum
        self.minimum = minimum
        self.maximum = maximum
    }

    public mutating func add(_ value: Double) {
        count += 1
        sum += value
        minimum = Swift.min(minimum, value)
        maximum = Swift.max(maximum, value)
    }
}

/// Two patterns turned out to be one: what was counted under `from` belongs to `to`, whose template follows.
public struct TemplateMerge: Sendable, Equatable {
    public var from: UInt64
    public var to: UInt64
    /// The template of `to`, repaired.
    public var template: [UInt8]

    public init(from: UInt64, to: UInt64, template: [UInt8]) {
        self.from = from
        self.to = to
        self.template = template
    }
}

/// Builds a payload. Text handed over must be repaired already (``UTF8Repair``). One growing array, amortised linear.
public struct BatchWriter {
    public private(set) var bytes: [UInt8] = []
    private let windowStart: Timestamp

    /// - Parameter clockIsKnown: false when the wall clock was never set since boot, so the stamps are guesses.
    public init(
        windowStart: Timestamp,
        windowEnd: Timestamp,
        clockIsKnown: Bool,
        recordCount: Int,
        seriesCount: Int,
        merges: [TemplateMerge] = [],
        byteCountEstimate: Int
    ) {
        self.windowStart = windowStart
        bytes.reserveCapacity(byteCountEstimate)
        bytes.append(contentsOf: BatchReader.magic)
        bytes.append(clockIsKnown ? 1 : 0)
        appendFixed(UInt64(bitPattern: windowStart.nanoseconds))
        appendFixed(UInt64(bitPattern: windowEnd.nanoseconds))
        append(UInt64(recordCount))
        append(UInt64(seriesCount))
        append(UInt64(merges.count))
        for merge in merges {
            appendFixed(merge.from)
            appendFixed(merge.to)
            merge.template.withUnsafeBufferPointer { append($0) }
        }
    }

    public mutating func beginSeries(
        templateID: UInt64,
        severity: Severity,
        classification: Classification = Classification(),
        template: ByteView,
        source: ByteView,
        host: ByteView,
        tenant: ByteView,
        dashboard: ByteView,
        count: Int,
        firstSeen: Timestamp,
        lastSeen: Timestamp,
        latency: LatencySummary?
    ) {
        appendFixed(templateID)
        bytes.append(severity.rawValue)
        bytes.append(classification.category.rawValue)
        append(UInt64(classification.tags.rawValue))
        append(template)
        append(source)
        append(host)
        append(tenant)
        append(dashboard)
        append(UInt64(count))
        append(zigzag: firstSeen.nanoseconds &- windowStart.nanoseconds)
        append(zigzag: lastSeen.nanoseconds &- windowStart.nanoseconds)
        if let latency {
            bytes.append(1)
            append(UInt64(latency.count))
            appendFixed(latency.sum.bitPattern)
            appendFixed(latency.minimum.bitPattern)
            appendFixed(latency.maximum.bitPattern)
        } else {
            bytes.append(0)
        }
    }

    /// Samples, then attributes: first their number, then each.
    public mutating func append(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    public mutating func append(_ text: ByteView) {
        append(UInt64(text.count))
        bytes.append(contentsOf: text)
    }

    /// Begins the summary of one attribute key; its values follow, each its text and its count.
    public mutating func beginAttribute(
        key: ByteView,
        otherCount: Int,
        distinctCount: Int,
        numbers: AttributeNumbers?,
        valueCount: Int
    ) {
        append(key)
        append(UInt64(otherCount))
        append(UInt64(distinctCount))
        append(UInt64(numbers?.count ?? 0))
        if let numbers {
            appendFixed(numbers.minimum.bitPattern)
            appendFixed(numbers.maximum.bitPattern)
        }
        append(UInt64(valueCount))
    }

    private mutating func append(zigzag value: Int64) {
        append(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    private mutating func appendFixed(_ value: UInt64) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

/// One pattern's delta in a batch; its views point into the payload and live as long as the closure that received it.
public struct SeriesView {
    public var templateID: UInt64
    public var severity: Severity
    public var classification: Classification
    public var template: ByteView
    public var source: ByteView
    public var host: ByteView
    public var tenant: ByteView
    public var dashboard: ByteView
    public var count: Int
    public var firstSeen: Timestamp
    public var lastSeen: Timestamp
    public var latency: LatencySummary?
    /// The kept messages, oldest first.
    public var samples: [ByteView]
    public var attributes: [AttributeSummaryView]
}

/// What a series' records said under one key: the values kept with their counts, and how many records said another one.
public struct AttributeSummaryView {
    public var key: ByteView
    public var values: [(value: ByteView, count: Int)]
    public var otherCount: Int
    /// How many different values there were: exact while all are kept, else an estimate, right to some 13 %.
    public var distinctCount: Int
    /// `nil` when no value was a number.
    public var numbers: AttributeNumbers?
}

/// Those of a key's values that were numbers.
public struct AttributeNumbers: Sendable, Equatable {
    /// At least 1.
    public var count: Int
    public var minimum: Double
    public var maximum: Double

    public init(count: Int, minimum: Double, maximum: Double) {
        self.count = count
        self.minimum = minimum
        self.maximum = maximum
    }
}

/// Reads a payload; every length is checked, so damaged bytes give an error and never a bad access.
public struct BatchReader {
    static let magic: [UInt8] = Array("LBB2".utf8)
    private static let magicWithoutMerges: [UInt8] = Array("LBB1".utf8)

    public private(set) var windowStart = Timestamp(nanoseconds: 0)
    public private(set) var windowEnd = Timestamp(nanoseconds: 0)
    public private(set) var clockIsKnown = false
    public private(set) var recordCount = 0
    public private(set) var seriesCount = 0
    public private(set) var mergeCount = 0

    private let isFirstFormat: Bool
    private let bytes: ByteView
    private var offset = 0

    /// Reads the header.
    public init(_ bytes: ByteView) throws(BatchFormatError) {
        self.bytes = bytes
        guard bytes.count >= 4 else { throw .notABatch }
        isFirstFormat = bytes[..<4].elementsEqual(Self.magicWithoutMerges)
        guard isFirstFormat || bytes[..<4].elementsEqual(Self.magic) else { throw .notABatch }
        offset = 4
        clockIsKnown = try byte() != 0
        windowStart = Timestamp(nanoseconds: Int64(bitPattern: try fixed()))
        windowEnd = Timestamp(nanoseconds: Int64(bitPattern: try fixed()))
        recordCount = try count()
        seriesCount = try count()
        if !isFirstFormat { mergeCount = try count() }
    }

    /// The merges of `batch`, oldest first.
    public static func merges(in batch: Batch) throws(BatchFormatError) -> [TemplateMerge] {
        let result = batch.payload.withUnsafeBufferPointer { bytes -> Result<[TemplateMerge], BatchFormatError> in
            do throws(BatchFormatError) {
                var reader = try BatchReader(bytes)
                return .success(try reader.readMerges())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private mutating func readMerges() throws(BatchFormatError) -> [TemplateMerge] {
        var merges: [TemplateMerge] = []
        for _ in 0..<mergeCount {
            merges.append(TemplateMerge(from: try fixed(), to: try fixed(), template: Array(try text())))
        }
        return merges
    }

    /// Calls `body` for each series of `batch` in order. Allocates the sample and attribute lists of one series at a time.
    public static func forEachSeries(
        in batch: Batch,
        _ body: (_ header: BatchReader, _ series: SeriesView) -> Void
    ) throws(BatchFormatError) {
        let result = batch.payload.withUnsafeBufferPointer { bytes -> Result<Void, BatchFormatError> in
            do throws(BatchFormatError) {
                var reader = try BatchReader(bytes)
                for _ in 0..<reader.mergeCount {
                    reader.offset = min(reader.offset + 16, bytes.count)
                    _ = try reader.text()
                }
                for _ in 0..<reader.seriesCount {
                    body(reader, try reader.nextSeries())
                }
                guard reader.offset == bytes.count else { throw .trailingBytes(bytes.count - reader.offset) }
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    private mutating func nextSeries() throws(BatchFormatError) -> SeriesView {
        let templateID = try fixed()
        let level = try byte()
        guard let severity = Severity(rawValue: level) else { throw .invalidSeverity(level) }
        var classification = Classification()
        if !isFirstFormat {
            classification.category = Classification.Category(rawValue: try byte()) ?? .application
            classification.tags = Classification.Tags(rawValue: UInt32(truncatingIfNeeded: try varint()))
        }
        var series = SeriesView(
            templateID: templateID,
            severity: severity,
            classification: classification,
            template: try text(),
            source: try text(),
            host: try text(),
            tenant: try text(),
            dashboard: try text(),
            count: try count(),
            firstSeen: try stamp(),
            lastSeen: try stamp(),
            latency: nil,
            samples: [],
            attributes: []
        )
        if try byte() != 0 {
            let samples = try count()
            series.latency = LatencySummary(
                count: samples,
                sum: Double(bitPattern: try fixed()),
                minimum: Double(bitPattern: try fixed()),
                maximum: Double(bitPattern: try fixed())
            )
        }
        for _ in 0..<(try count()) {
            series.samples.append(try text())
        }
        for _ in 0..<(try count()) {
            var attribute = AttributeSummaryView(
                key: try text(),
                values: [],
                otherCount: try count(),
                distinctCount: 0,
                numbers: nil
            )
            if !isFirstFormat {
                attribute.distinctCount = try count()
                let numberCount = try count()
                if numberCount > 0 {
                    attribute.numbers = AttributeNumbers(
                        count: numberCount,
                        minimum: Double(bitPattern: try fixed()),
                        maximum: Double(bitPattern: try fixed())
                    )
                }
            }
            for _ in 0..<(try count()) {
                attribute.values.append((try text(), try count()))
            }
            if isFirstFormat { attribute.distinctCount = attribute.values.count }
            series.attributes.append(attribute)
        }
        return series
    }

    private mutating func byte() throws(BatchFormatError) -> UInt8 {
        guard offset < bytes.count else { throw .truncated(offset: offset) }
        defer { offset += 1 }
        return bytes[offset]
    }

    private mutating func fixed() throws(BatchFormatError) -> UInt64 {
        guard bytes.count - offset >= 8, let base = bytes.baseAddress else { throw .truncated(offset: offset) }
        defer { offset += 8 }
        return UInt64(littleEndian: UnsafeRawPointer(base).loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    private mutating func varint() throws(BatchFormatError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            let next = try byte()
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return value }
            shift += 7
        }
        throw .truncated(offset: offset)
    }

    /// A count that no honest payload exceeds: a million logs a second for two centuries. So sums of counts cannot overflow.
    private mutating func count() throws(BatchFormatError) -> Int {
        let value = try varint()
        guard value <= 1 << 53 else { throw .truncated(offset: offset) }
        return Int(value)
    }

    private mutating func stamp() throws(BatchFormatError) -> Timestamp {
        let raw = try varint()
        let difference = Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
        return Timestamp(nanoseconds: windowStart.nanoseconds &+ difference)
    }

    private mutating func text() throws(BatchFormatError) -> ByteView {
        let length = try count()
        guard length <= bytes.count - offset else { throw .truncated(offset: offset) }
        defer { offset += length }
        return ByteView(rebasing: bytes[offset..<offset + length])
    }
}
