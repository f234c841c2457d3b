internal import Compression
internal import JSONBytes
internal import LogModel

/// Writes a span as the analytics node reads it: gzip of NDJSON, a `span` line, then for each batch a `batch` line and its
/// `series` lines. docs/formats/forward.md is the specification. Linear in the payload; about 100 KiB beside the result.
enum ForwardEncoder {
    /// The version of the format, in every span line. A receiver refuses one that it does not know (422).
    static let format = 1
    /// Lines are handed to the compressor in portions of about this many bytes.
    static let portionByteCount = 32 * 1024

    static func encode(
        _ span: BatchSpan,
        _ batches: [Batch],
        from node: NodeID,
        level: Int32 = GzipStream.defaultLevel
    ) throws(BatchFormatError) -> [UInt8] {
        var compressed = GzipStream(level: level)
        var writer = JSONWriter(byteCountEstimate: portionByteCount + 4096)

        writer.beginObject()
        writer.key("type")
        writer.string(static: "span")
        writer.key("format")
        writer.integer(format)
        writer.key("node")
        writer.string(node.text)
        writer.key("stream")
        writer.string(span.stream.text)
        writer.key("previous")
        writer.integer(Int(span.previous))
        writer.key("last")
        writer.integer(Int(span.last))
        writer.key("batches")
        writer.integer(batches.count)
        writer.endObject()
        writer.endLine()

        for batch in batches {
            let header = try header(of: batch)
            write(header, try BatchReader.merges(in: batch), to: &writer)
            try BatchReader.forEachSeries(in: batch) { _, series in
                write(series, to: &writer)
                if writer.bytes.count >= portionByteCount {
                    compressed.append(writer.bytes)
                    writer.reset()
                }
            }
        }
        compressed.append(writer.bytes)
        return compressed.finish()
    }

    private static func header(of batch: Batch) throws(BatchFormatError) -> BatchHeader {
        let result = batch.payload.withUnsafeBufferPointer { bytes -> Result<BatchHeader, BatchFormatError> in
            do throws(BatchFormatError) {
                let reader = try BatchReader(bytes)
                return .success(
                    BatchHeader(
                        windowStart: reader.windowStart,
                        windowEnd: reader.windowEnd,
                        clockIsKnown: reader.clockIsKnown,
                        recordCount: reader.recordCount,
                        seriesCount: reader.seriesCount
                    )
                )
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private struct BatchHeader {
        var windowStart: Timestamp
        var windowEnd: Timestamp
        var clockIsKnown: Bool
        var recordCount: Int
        var seriesCount: Int
    }

    private static func write(_ header: BatchHeader, _ merges: [TemplateMerge], to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("type")
        writer.string(static: "batch")
        writer.key("window_start")
        writer.string(header.windowStart.rfc3339)
        writer.key("window_end")
        writer.string(header.windowEnd.rfc3339)
        writer.key("clock_known")
        writer.bool(header.clockIsKnown)
        writer.key("records")
        writer.integer(header.recordCount)
        writer.key("series")
        writer.integer(header.seriesCount)
        if !merges.isEmpty {
            writer.key("merges")
            writer.beginArray()
            for merge in merges {
                writer.beginObject()
                writer.key("from")
                writer.string(hexadecimal(merge.from))
                writer.key("to")
                writer.string(hexadecimal(merge.to))
                writer.key("pattern")
                merge.template.withUnsafeBufferPointer { writer.string(bytes: $0) }
                writer.endObject()
            }
            writer.endArray()
        }
        writer.endObject()
        writer.endLine()
    }

    private static func write(_ series: SeriesView, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("type")
        writer.string(static: "series")
        writer.key("id")
        // A string, because a JSON number of 64 bits loses its lower ones in most readers.
        writer.string(hexadecimal(series.templateID))
        writer.key("pattern")
        writer.string(bytes: series.template)
        writer.key("level")
        writer.string(static: series.severity.name)
        writer.key("category")
        writer.string(static: series.classification.category.name)
        if !series.classification.tags.isEmpty {
            writer.key("tags")
            writer.beginArray()
            for name in series.classification.tags.wordList { writer.string(static: name) }
            writer.endArray()
        }
        writeName("source", series.source, to: &writer)
        writeName("host", series.host, to: &writer)
        writeName("tenant", series.tenant, to: &writer)
        writeName("dashboard", series.dashboard, to: &writer)
        writer.key("count")
        writer.integer(series.count)
        writer.key("first_seen")
        writer.string(series.firstSeen.rfc3339)
        writer.key("last_seen")
        writer.string(series.lastSeen.rfc3339)
        if let latency = series.latency { write(latency, to: &writer) }
        if !series.samples.isEmpty {
            writer.key("samples")
            writer.beginArray()
            for sample in series.samples { writer.string(bytes: sample) }
            writer.endArray()
        }
        if !series.attributes.isEmpty { write(series.attributes, to: &writer) }
        writer.endObject()
        writer.endLine()
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    /// An empty name says nothing and is left out.
    private static func writeName(_ key: StaticString, _ name: ByteView, to writer: inout JSONWriter) {
        guard !name.isEmpty else { return }
        writer.key(key)
        writer.string(bytes: name)
    }

    private static func write(_ latency: LatencySummary, to writer: inout JSONWriter) {
        writer.key("latency")
        writer.beginObject()
        writer.key("count")
        writer.integer(latency.count)
        writer.key("sum")
        writer.number(latency.sum)
        writer.key("min")
        writer.number(latency.minimum)
        writer.key("max")
        writer.number(latency.maximum)
        writer.endObject()
    }

    private static func write(_ attributes: [AttributeSummaryView], to writer: inout JSONWriter) {
        writer.key("attributes")
        writer.beginObject()
        for attribute in attributes {
            writer.key(bytes: attribute.key)
            writer.beginObject()
            writer.key("values")
            writer.beginObject()
            for (value, count) in attribute.values {
                writer.key(bytes: value)
                writer.integer(count)
            }
            writer.endObject()
            writer.key("other")
            writer.integer(attribute.otherCount)
            writer.key("distinct")
            writer.integer(attribute.distinctCount)
            if let numbers = attribute.numbers {
                writer.key("min")
                writer.number(numbers.minimum)
                writer.key("max")
                writer.number(numbers.maximum)
            }
            writer.endObject()
        }
        writer.endObject()
    }
}
